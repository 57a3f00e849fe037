package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/taskhost/taskhost/host/task"
)

// What one answer says of an input that does not match its schema.
const (
	maxFaults       = 20
	maxFaultMessage = 300  // bytes
	maxFaultPath    = 1000 // bytes; a fault below is told at what holds it
)

// validator checks inputs against a type's JSON Schema. A nil one takes any JSON.
type validator struct {
	doc    any // the schema as it came, for further guards
	schema *jsonschema.Schema
	plain  *plainSchema
	marked *secrets    // that the schema marks writeOnly; nil if none
	weight int64       // of the whole schema, against one byte of input
	guards chan *guard // those that nobody uses now
	made   atomic.Int64
}

// newValidator compiles the input schema of task type name. Its error says what is
// wrong with the schema, where, and by which bound.
func newValidator(name string, schema json.RawMessage) (*validator, error) {
	if len(schema) == 0 {
		return nil, nil
	}
	v, err := compileValidator(schema)
	if err != nil {
		return nil, fmt.Errorf("input schema of task type %q: %s", name, cut(err.Error(), maxSchemaError))
	}
	return v, nil
}

// checkResultSchema says why the result schema of task type name is not one. Nobody
// checks results against it, but everybody is shown it.
func checkResultSchema(name string, schema json.RawMessage) error {
	if len(schema) == 0 {
		return nil
	}
	if _, err := compileValidator(schema); err != nil {
		return fmt.Errorf("result schema of task type %q: %s", name, cut(err.Error(), maxSchemaError))
	}
	return nil
}

func compileValidator(schema json.RawMessage) (*validator, error) {
	doc, err := boundSchema(schema)
	if err != nil {
		return nil, err
	}
	s, err := compileSchema(doc)
	if bad := (*jsonschema.SchemaValidationError)(nil); errors.As(err, &bad) {
		err = notSchema(bad)
	}
	if err != nil {
		return nil, err
	}
	m, err := measure(s)
	if err != nil {
		return nil, err
	}
	if err := refuseUnreadMarks(doc, s.DraftVersion); err != nil {
		return nil, err
	}
	return &validator{doc: doc, schema: s, plain: newPlainSchema(doc), marked: findSecrets(s, m.all), weight: m.total(s),
		guards: make(chan *guard, runtime.GOMAXPROCS(0))}, nil
}

// notSchema is the first fault by the rules for schemas themselves.
func notSchema(e *jsonschema.SchemaValidationError) error {
	bad := (*jsonschema.ValidationError)(nil)
	if !errors.As(e.Err, &bad) {
		return e
	}
	first := faultsOf(bad, nil)[0]
	return fmt.Errorf("at %s: %s", cut(first.Place(), maxFaultMessage), first.Message)
}

// compileSchema is called anew for each guard: a compiled schema that is guarded
// belongs to one check at a time.
func compileSchema(doc any) (s *jsonschema.Schema, err error) {
	defer recovered(&err)
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	c.AssertFormat()
	registerConfigFormats(c)
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

const schemaURL = "taskhost:input"

// noLoader refuses references to other documents: a plugin's schema must not
// have the host read files or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema may not refer to %q", url)
}

// check gives an invalid_input error with the path to each fault, maxFaults at
// the most, which says nothing of what hidden marks. What it may cost grows with the input, and
// no faster. It ends early, with the context's error, when its client is gone (ctx) or the host
// ends (host).
func (v *validator) check(ctx, host context.Context, typ string, input json.RawMessage, hidden *secrets) error {
	if len(input) == 0 {
		input = json.RawMessage("null")
	}
	switch {
	case v == nil && string(input) == "null":
		return nil
	case v != nil && v.weight*int64(len(input)) <= maxUnguarded && v.plain.surelyMatches(input):
		return nil
	}
	if err := task.BoundJSON(input); err != nil {
		return notInput("the input "+err.Error(), err.Error())
	}
	if v == nil {
		if !json.Valid(input) {
			return notInput("the input is not JSON", "is not JSON")
		}
		return nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(input))
	if err != nil {
		return notInput("the input is not JSON: "+err.Error(), "is not JSON")
	}
	err = v.validate(ctx, host, doc, len(input))
	var bad *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		marked, err := hidden.in(input)
		if err != nil {
			marked = []task.JSONPart{{}} // any of it may be
		}
		e := &task.Error{Code: task.CodeInvalidInput, Fields: faultsOf(bad, marked, "input")}
		e.Message = fmt.Sprintf("the input does not match the schema of task type %q: %s %s", typ, e.Fields[0].Place(), e.Fields[0].Message)
		return e
	case errors.Is(err, errTooMuchWork):
		return notInput(fmt.Sprintf("the input takes more work to check against the schema of task type %q than an input of %d bytes may: split it", typ, len(input)), err.Error())
	}
	return err
}

// validate checks a value of size bytes, at bounded cost.
func (v *validator) validate(ctx, host context.Context, doc any, size int) error {
	if v.weight*int64(size) <= maxUnguarded {
		return validate(v.schema, doc)
	}
	return v.guarded(ctx, host, doc, size)
}

// guarded checks with a guard, of which there are as many as can work at once.
func (v *validator) guarded(ctx, host context.Context, doc any, size int) error {
	var g *guard
	select {
	case g = <-v.guards:
	default:
		if v.made.Add(1) > int64(cap(v.guards)) {
			v.made.Add(-1)
			select {
			case g = <-v.guards:
			case <-ctx.Done():
				return ctx.Err()
			case <-host.Done():
				return host.Err()
			}
			break
		}
		var err error
		if g, err = newGuard(v.doc); err != nil {
			v.made.Add(-1)
			return err
		}
	}
	defer func() { v.guards <- g }()
	return g.check(ctx, host, doc, size)
}

// validate has the library check doc. What it does not foresee is an error.
func validate(s *jsonschema.Schema, doc any) (err error) {
	defer recovered(&err)
	return s.Validate(doc)
}

// recovered turns a panic into an error: the check that was stopped says why, and
// a fault of the library must not end the host.
func recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case stopped:
		*err = p.reason
	default:
		*err = fmt.Errorf("the schema library failed: %v", p)
	}
}

func notInput(whole, field string) error {
	return &task.Error{Code: task.CodeInvalidInput, Message: whole, Fields: []task.FieldError{{Path: []string{"input"}, Message: field}}}
}

// faultsOf are the first faults that have no deeper cause; there is at least one.
// root is the path to the value that was checked, in which the marked parts are not told.
func faultsOf(e *jsonschema.ValidationError, marked []task.JSONPart, root ...string) []task.FieldError {
	f := faults{root: root, marked: marked, printer: message.NewPrinter(language.English)}
	f.add(e)
	switch {
	case len(f.first) > 0:
		return f.first
	case len(f.rest) > 0:
		return f.rest
	}
	return []task.FieldError{{Path: root, Message: notMatching}}
}

const notMatching = "does not match the schema"

type faults struct {
	root    []string
	marked  []task.JSONPart
	printer *message.Printer
	first   []task.FieldError
	rest    []task.FieldError // places of which a guard kept no more
}

func (f *faults) add(e *jsonschema.ValidationError) {
	for _, c := range e.Causes {
		if len(f.first) < maxFaults {
			f.add(c)
		}
	}
	if len(e.Causes) > 0 {
		return
	}
	location, hidden := shown(e.InstanceLocation, f.marked)
	at := task.FieldError{Path: f.path(location)}
	switch k := e.ErrorKind.(type) {
	case nil: // of a branch of which only the verdict was wanted
		return
	case moreFaults:
		if at.Message = notMatching; len(f.rest) < maxFaults {
			f.rest = append(f.rest, at)
		}
		return
	default:
		if at.Message = hiddenFault(k); !hidden {
			at.Message = faultMessage(k, f.printer)
		}
	}
	f.first = append(f.first, at)
}

// faultMessage says what is wrong with a value, within maxFaultMessage.
func faultMessage(k jsonschema.ErrorKind, p *message.Printer) string {
	var text string
	switch k := k.(type) {
	case *kind.Format: // without the value, which may be long
		text = fmt.Sprintf("is no valid %s: %v", k.Want, k.Err)
	case *kind.Pattern:
		text = fmt.Sprintf("does not match pattern %q", k.Want)
	case *kind.AdditionalProperties: // they may be all that the value is made of
		k.Properties = k.Properties[:min(len(k.Properties), maxFaults)]
		text = k.LocalizedString(p)
	default:
		text = k.LocalizedString(p)
	}
	return cut(text, maxFaultMessage)
}

// path leads to a part of the value, or to what holds it if it would be longer than
// anybody reads.
func (f *faults) path(location []string) []string {
	size := 0
	for i, part := range location {
		if size += len(part) + 1; size > maxFaultPath {
			location = location[:i]
			break
		}
	}
	return slices.Concat(f.root, location)
}

// cut keeps s within n bytes and a mark.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
