package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/taskhost/taskhost/host/task"
)

// secrets are what schemas of one type's input mark writeOnly. A value that any of their parts
// may apply to and marks is one, also a part that holds in some cases alone: what is kept from
// others without need does less harm than what is told. A nil one marks nothing.
type secrets struct {
	roots []*jsonschema.Schema
	leads map[*jsonschema.Schema]bool // those with a marked one among what they apply
}

// findSecrets looks for what a compiled schema marks; nil if that is nothing.
func findSecrets(root *jsonschema.Schema, all []*jsonschema.Schema) *secrets {
	var marked []*jsonschema.Schema
	users := map[*jsonschema.Schema][]*jsonschema.Schema{}
	for _, s := range all {
		if s.WriteOnly {
			marked = append(marked, s)
		}
	}
	if len(marked) == 0 {
		return nil
	}
	for _, s := range all {
		for _, to := range alongside(s) {
			users[to] = append(users[to], s)
		}
		below(s, func(to *jsonschema.Schema) *jsonschema.Schema {
			users[to] = append(users[to], s)
			return to
		})
	}
	f := &secrets{roots: []*jsonschema.Schema{root}, leads: map[*jsonschema.Schema]bool{}}
	for len(marked) > 0 {
		s := marked[len(marked)-1]
		marked = marked[:len(marked)-1]
		if !f.leads[s] {
			f.leads[s] = true
			marked = append(marked, users[s]...)
		}
	}
	return f
}

// secrets are what the schema marks; nil without a schema.
func (v *validator) secrets() *secrets {
	if v == nil {
		return nil
	}
	return v.marked
}

// and is what either marks: that an executor marks a field is not undone by who puts the type.
func (f *secrets) and(other *secrets) *secrets {
	switch {
	case f == nil:
		return other
	case other == nil:
		return f
	}
	n := &secrets{roots: slices.Concat(f.roots, other.roots), leads: map[*jsonschema.Schema]bool{}}
	for _, each := range []*secrets{f, other} {
		for s := range each.leads {
			n.leads[s] = true
		}
	}
	return n
}

// in finds the values of an input, valid JSON, that are marked. Its error is errTooMuchWork.
func (f *secrets) in(input json.RawMessage) (parts []task.JSONPart, err error) {
	if f == nil {
		return nil, nil
	}
	defer recovered(&err)
	w := secretWalk{secrets: f, left: checkBase + checkPerByte*int64(len(input))}
	task.WalkJSON(input, func(path []string, from int) bool {
		return !w.enter(path, input[from] == '[')
	}, func(p task.JSONPart) { parts = append(parts, p) })
	return parts, nil
}

// secretWalk is one walk over an input.
type secretWalk struct {
	*secrets
	left int64 // that it may still cost, as a check
	// above are the schemas that apply to the values which hold the one that is looked at, and
	// whether each is an array.
	above []appliedSchemas
}

type appliedSchemas struct {
	schemas []*jsonschema.Schema
	array   bool
}

// enter looks at the next value, and says whether it is marked: then its parts are not looked at.
func (w *secretWalk) enter(path []string, array bool) (marked bool) {
	applied := w.roots
	w.above = w.above[:len(path)]
	if n := len(path); n > 0 {
		applied = nil
		index := -1
		if w.above[n-1].array {
			index, _ = strconv.Atoi(path[n-1])
		}
		for _, s := range w.above[n-1].schemas {
			w.spend(1 + int64(len(s.PatternProperties)*len(path[n-1])))
			applied = append(applied, w.ofPart(s, path[n-1], index)...)
		}
	}
	applied = w.withAlongside(applied)
	w.above = append(w.above, appliedSchemas{applied, array})
	return slices.ContainsFunc(applied, func(s *jsonschema.Schema) bool { return s.WriteOnly })
}

// withAlongside are those of the schemas that lead to a marked one, with all that they apply
// to the same value.
func (w *secretWalk) withAlongside(schemas []*jsonschema.Schema) (all []*jsonschema.Schema) {
	seen := map[*jsonschema.Schema]bool{}
	for len(schemas) > 0 {
		s := schemas[len(schemas)-1]
		schemas = schemas[:len(schemas)-1]
		if s == nil || seen[s] || !w.leads[s] {
			continue
		}
		w.spend(10)
		seen[s] = true
		all = append(all, s)
		schemas = append(schemas, alongside(s)...)
	}
	return all
}

// ofPart are the schemas that s may apply to a part of a value: a member, or an element if
// index is not negative.
func (w *secretWalk) ofPart(s *jsonschema.Schema, name string, index int) []*jsonschema.Schema {
	if index >= 0 {
		return elementSchemas(s, index)
	}
	var to []*jsonschema.Schema
	if named := s.Properties[name]; named != nil {
		to = append(to, named)
	}
	for re, one := range s.PatternProperties {
		if re.MatchString(name) {
			to = append(to, one)
		}
	}
	if len(to) == 0 && s.Properties[name] == nil {
		if others, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
			to = append(to, others)
		}
		to = append(to, s.UnevaluatedProperties)
	}
	return to
}

// elementSchemas are those of an array's element. Any may be what contains looks for.
func elementSchemas(s *jsonschema.Schema, index int) []*jsonschema.Schema {
	to := []*jsonschema.Schema{s.Contains, s.UnevaluatedItems}
	if index < len(s.PrefixItems) {
		to = append(to, s.PrefixItems[index])
	} else {
		to = append(to, s.Items2020)
	}
	switch items := s.Items.(type) {
	case *jsonschema.Schema:
		to = append(to, items)
	case []*jsonschema.Schema:
		if index < len(items) {
			return append(to, items[index])
		}
		if others, ok := s.AdditionalItems.(*jsonschema.Schema); ok {
			to = append(to, others)
		}
	}
	return to
}

func (w *secretWalk) spend(n int64) {
	if w.left -= n; w.left < 0 {
		panic(stopped{errTooMuchWork})
	}
}

// shown is where a fault is told of that is at this place in an input with these marked values,
// and whether it is one of theirs: then neither the value nor a place in it is told.
func shown(location []string, marked []task.JSONPart) (place []string, hidden bool) {
	for _, p := range marked {
		if n := len(p.Path); len(location) >= n && slices.Equal(location[:n], p.Path) {
			return p.Path, true
		}
	}
	return location, false
}

// hiddenFault says that a marked value is wrong, and by which keyword of its schema.
func hiddenFault(k jsonschema.ErrorKind) string {
	text := "does not match its schema, which marks it writeOnly: what is wrong with it is not shown"
	if at := k.KeywordPath(); len(at) > 0 {
		text += " (keyword " + at[0] + ")"
	}
	return text
}

// refuseUnreadMarks refuses a schema of an older draft that marks values by a writeOnly which
// that draft does not read: its author takes for a secret what would be kept in clear.
func refuseUnreadMarks(doc any, draft int) error {
	if draft >= 2019 {
		return nil
	}
	var look func(v any, at string) error
	look = func(v any, at string) error {
		switch v := v.(type) {
		case map[string]any:
			_, refers := v["$ref"]
			if v["writeOnly"] == true && (draft < 7 || refers) {
				return fmt.Errorf("at %s/writeOnly: draft %d does not read it here: have \"$schema\" name draft 2020-12, or leave \"$schema\" out", cut(at, 200), draft)
			}
			for name, each := range v {
				if err := look(each, at+"/"+name); err != nil {
					return err
				}
			}
		case []any:
			for _, each := range v {
				if err := look(each, at+"/*"); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return look(doc, "")
}
