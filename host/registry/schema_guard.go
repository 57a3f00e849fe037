package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/message"
)

// The library walks an input to its end and keeps every fault with its place, and
// nothing can stop it: 450,000 wrong elements cost 3 GB. So where the product of
// schema and input is not small, the compiled schema gets an edge wherever it
// leads from a value into a part of it. An edge charges what comes next before it
// is done, ends the walk where that is too much or nobody waits for it, and keeps
// only the first faults of each value.
//
// Most inputs are right, and an edge costs as much as the check of a number. So a
// first walk asks only for the verdict, in which faults weigh little, and goes to
// parts that are checked at a glance without an edge; a second walk, of a wrong
// input, finds the faults.

// What a check may cost, in units of some 10 ns.
const (
	maxUnguarded = 2_000_000  // weight of the schema times bytes of input: no guard is needed
	checkBase    = 10_000_000 // for any input (a batch has thousands), and
	checkPerByte = 200        // for each byte of it
	checkPoll    = 1_000_000  // between two looks at the contexts
)

var errTooMuchWork = errors.New("takes too much work to check")

// stopped is what a check panics with, through the library, to end it.
type stopped struct{ reason error }

// moreFaults marks that a value has more faults than are kept.
type moreFaults struct{}

func (moreFaults) KeywordPath() []string                   { return nil }
func (moreFaults) LocalizedString(*message.Printer) string { return "has more faults" }

// guard is a compiled schema with edges, for one check at a time.
type guard struct {
	doc     any
	verdict *jsonschema.Schema // fails what is right, and says nothing else
	faults  *jsonschema.Schema // nil until an input was wrong

	ctx, host context.Context
	left      int64 // that this walk may still cost
	poll      int64
	frames    int                         // values looked at in this walk, and
	frame     int                         // the number of the one that is looked at now
	kept      int                         // faults of its parts, and
	more      *jsonschema.ValidationError // what stands for those that are not kept
}

func newGuard(doc any) (*guard, error) {
	g := &guard{doc: doc}
	root, err := g.compile(false)
	if err != nil {
		return nil, err
	}
	g.verdict = &jsonschema.Schema{DraftVersion: root.DraftVersion, Not: root}
	return g, nil
}

// compile makes the schema anew, with edges to all parts, or to all but plain ones.
func (g *guard) compile(all bool) (*jsonschema.Schema, error) {
	s, err := compileSchema(g.doc)
	if err != nil {
		return nil, err
	}
	m, err := measure(s)
	if err != nil {
		return nil, err
	}
	plain := map[*jsonschema.Schema]bool{}
	for _, each := range m.all {
		plain[each] = !all && m.plain(each)
	}
	for _, each := range m.all {
		below(each, func(to *jsonschema.Schema) *jsonschema.Schema {
			if plain[to] {
				return to
			}
			return g.edge(to, m.inPlace[to], to != each.Contains)
		})
	}
	return g.edge(s, m.inPlace[s], true), nil
}

// edge is a schema that does what to does, under guard. All says that the value
// fails if one part does.
func (g *guard) edge(to *jsonschema.Schema, c cost, all bool) *jsonschema.Schema {
	return &jsonschema.Schema{DraftVersion: to.DraftVersion, Location: to.Location,
		Extensions: []jsonschema.SchemaExt{&edge{g: g, to: to, cost: c, all: all}}}
}

func (g *guard) check(ctx, host context.Context, doc any, size int) error {
	g.ctx, g.host = ctx, host
	defer func() { g.ctx, g.host, g.more = nil, nil, nil }() // it may wait long for the next
	var bad *jsonschema.ValidationError
	err := g.walk(g.verdict, doc, size)
	if err == nil { // the verdict is turned around
		if g.faults == nil {
			if g.faults, err = g.compile(true); err != nil {
				return err
			}
		}
		return g.walk(g.faults, doc, size)
	}
	if errors.As(err, &bad) {
		return nil
	}
	return err
}

func (g *guard) walk(root *jsonschema.Schema, doc any, size int) error {
	g.left, g.poll = checkBase+checkPerByte*int64(size), 0
	g.frames, g.frame, g.kept, g.more = 0, 0, 0, nil
	return validate(root, doc)
}

func (g *guard) spend(n int64) {
	if g.left -= n; g.left < 0 {
		panic(stopped{errTooMuchWork})
	}
	if g.poll -= n; g.poll > 0 {
		return
	}
	g.poll = checkPoll
	if err := errors.Join(g.ctx.Err(), g.host.Err()); err != nil {
		panic(stopped{err})
	}
}

type edge struct {
	g    *guard
	to   *jsonschema.Schema
	cost cost
	all  bool

	frame int // the value whose parts were last looked at, and
	wrong int // how many of them were
}

// Validate is called by the library in the place of the schema itself.
func (e *edge) Validate(ctx *jsonschema.ValidatorContext, v any) {
	g := e.g
	if e.frame != g.frame {
		e.frame, e.wrong = g.frame, 0
	}
	if e.all && e.wrong >= maxFaults { // the value fails whatever this part is
		g.spend(1)
		ctx.AddErr(g.notKept(ctx))
		return
	}
	g.spend(e.cost.of(v))
	frame, kept, more := g.frame, g.kept, g.more
	g.frames++
	g.frame, g.kept, g.more = g.frames, 0, nil
	err := ctx.Validate(e.to, v, nil)
	g.frame, g.kept, g.more = frame, kept, more
	bad, _ := err.(*jsonschema.ValidationError)
	if bad == nil {
		return
	}
	if e.frame != frame { // it was used for the value's parts, too
		e.frame, e.wrong = frame, 0
	}
	e.wrong++
	if g.kept >= maxFaults {
		bad = g.notKept(ctx)
	} else {
		g.kept += trim(bad, maxFaults-g.kept)
	}
	ctx.AddErr(bad)
}

// notKept stands for a fault in a part of the value that is looked at.
func (g *guard) notKept(part *jsonschema.ValidatorContext) *jsonschema.ValidationError {
	if g.more == nil {
		at := part.ValueLocation()
		g.more = &jsonschema.ValidationError{InstanceLocation: slices.Clone(at[:max(len(at)-1, 0)]), ErrorKind: moreFaults{}}
	}
	return g.more
}

// trim leaves the first n faults that have no deeper cause, and says how many there are.
func trim(e *jsonschema.ValidationError, n int) int {
	if len(e.Causes) == 0 {
		return 1
	}
	kept := 0
	for i, c := range e.Causes {
		if kept >= n {
			e.Causes = slices.Clone(e.Causes[:i])
			break
		}
		kept += trim(c, n-kept)
	}
	return kept
}

// cost is what a schema does to one value, without its parts.
type cost struct {
	steps    int64 // schemas that apply to it, and values that it is compared with
	patterns int64 // size of those that its text is matched with
	keys     int64 // size of those that its properties' names are matched with
	unique   int64 // times its elements are compared with one another
	height   int   // schemas within one another
}

func (c cost) of(v any) int64 {
	switch v := v.(type) {
	case string:
		return c.steps + int64(len(v))*(1+c.patterns)/4
	case json.Number: // the library computes with fractions of any size
		digits := int64(len(v))
		if at := bytes.IndexAny([]byte(v), "eE"); at >= 0 {
			exponent, _ := strconv.ParseInt(string(v[at+1:]), 10, 64)
			digits += max(exponent, -exponent)
		}
		return c.steps * (5 + digits/20)
	case []any:
		n := c.steps * int64(1+len(v))
		if c.unique > 0 {
			n += c.unique * 50 * values(v)
		}
		return n
	case map[string]any:
		n := c.steps * int64(1+len(v))
		if c.keys > 0 {
			for name := range v {
				n += int64(len(name)) * c.keys / 4
			}
		}
		return n
	}
	return c.steps
}

// values counts what v is made of.
func values(v any) int64 {
	n := int64(1)
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += values(e)
		}
	case map[string]any:
		for _, e := range v {
			n += values(e)
		}
	}
	return n
}
