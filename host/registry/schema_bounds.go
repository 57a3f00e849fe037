package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/taskhost/taskhost/host/task"
)

// The bounds of a schema from outside. The library follows references, compiles
// patterns and names every part by its whole path, at any price.
const (
	maxSchemaSize     = 256 << 10 // bytes
	maxSchemaDepth    = 100       // objects and arrays in one another
	maxSchemaValues   = 10_000    // JSON values: properties, values of an enum, …
	maxSchemaObjects  = 4000
	maxSchemaNames    = 300     // of "$ref", "$id", "$anchor" and their like together
	maxSchemaSteps    = 200_000 // what one value may be checked with: see cost
	maxSchemaHeight   = 50      // schemas in one another that apply to the same value
	maxPattern        = 1000    // bytes of a regular expression
	maxPatternSize    = 2000    // instructions of one, once its repetitions are written out
	maxSchemaPatterns = 20_000  // instructions of all
	maxSchemaError    = 1000    // bytes
)

// boundSchema decodes a schema that the library can be given.
func boundSchema(schema json.RawMessage) (any, error) {
	if len(schema) > maxSchemaSize {
		return nil, fmt.Errorf("it has %d bytes, at most %d are taken", len(schema), maxSchemaSize)
	}
	if err := task.BoundJSON(schema); err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	var n schemaCount
	if err := n.add(doc, "", 0); err != nil {
		return nil, err
	}
	return doc, nil
}

type schemaCount struct{ values, objects, names int }

func (n *schemaCount) add(v any, at string, depth int) error {
	n.values++
	switch {
	case depth > maxSchemaDepth:
		return fmt.Errorf("%s: it is deeper than %d objects and arrays in one another", cut(at, 200), maxSchemaDepth)
	case n.values > maxSchemaValues:
		return fmt.Errorf("it has more than %d values (properties, keywords, values of an enum)", maxSchemaValues)
	}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if err := n.add(e, fmt.Sprintf("%s/%d", at, i), depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		if n.objects++; n.objects > maxSchemaObjects {
			return fmt.Errorf("it has more than %d objects", maxSchemaObjects)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			switch name {
			case "$ref", "$id", "id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor":
				if n.names++; n.names > maxSchemaNames {
					return fmt.Errorf("it has more than %d references and names for them", maxSchemaNames)
				}
			}
			if err := n.add(v[name], at+"/"+name, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// pattern is a regular expression and what it costs: instructions, each of which
// may look at every byte of a text.
type pattern struct {
	*regexp.Regexp
	size int64
}

// compilePattern is the library's engine for regular expressions.
func compilePattern(text string) (jsonschema.Regexp, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("the pattern has %d bytes, at most %d are taken", len(text), maxPattern)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := patternSize(parsed)
	if size > maxPatternSize {
		return nil, fmt.Errorf("the pattern has %d instructions with its repetitions written out, at most %d are taken", size, maxPatternSize)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &pattern{re, size}, nil
}

func patternSize(re *syntax.Regexp) int64 {
	n := int64(1)
	if re.Op == syntax.OpLiteral {
		n = int64(len(re.Rune))
	}
	for _, sub := range re.Sub {
		n += patternSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= int64(max(re.Max, re.Min+1, 1))
	}
	return n
}

func sizeOf(re jsonschema.Regexp) int64 {
	if p, ok := re.(*pattern); ok {
		return p.size
	}
	return 0
}

// measures says what each part of a compiled schema costs.
type measures struct {
	all     []*jsonschema.Schema
	inPlace map[*jsonschema.Schema]cost
	totals  map[*jsonschema.Schema]int64
}

// measure finds every part of s, or says which is out of bounds.
func measure(s *jsonschema.Schema) (*measures, error) {
	m := &measures{inPlace: map[*jsonschema.Schema]cost{}, totals: map[*jsonschema.Schema]int64{}}
	seen := map[*jsonschema.Schema]bool{s: true}
	m.all = append(m.all, s)
	patterns := int64(0)
	for i := 0; i < len(m.all); i++ {
		each := m.all[i]
		visit := func(to *jsonschema.Schema) *jsonschema.Schema {
			if !seen[to] {
				seen[to] = true
				m.all = append(m.all, to)
			}
			return to
		}
		for _, to := range alongside(each) {
			visit(to)
		}
		below(each, visit)
		own := ownCost(each)
		patterns += own.patterns + own.keys
		switch {
		case each.DynamicRef != nil || each.RecursiveRef != nil:
			return nil, fmt.Errorf("%s: $dynamicRef and $recursiveRef are not taken: use $ref", place(each))
		case patterns > maxSchemaPatterns:
			return nil, fmt.Errorf("%s: the patterns have more than %d instructions together", place(each), maxSchemaPatterns)
		}
	}
	for _, each := range m.all {
		if _, err := m.costOf(each, map[*jsonschema.Schema]bool{}); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func place(s *jsonschema.Schema) string {
	at := strings.TrimPrefix(s.Location, schemaURL+"#")
	if at == "" {
		return "at its root"
	}
	return "at " + cut(at, 200)
}

// costOf is what s and all that applies to the same value cost. What each refers
// to twice doubles with each step, and what comes back to itself has no end.
func (m *measures) costOf(s *jsonschema.Schema, open map[*jsonschema.Schema]bool) (cost, error) {
	if c, ok := m.inPlace[s]; ok {
		return c, nil
	}
	if open[s] {
		return cost{}, fmt.Errorf("%s: it refers to itself for the same value", place(s))
	}
	if len(open) > maxSchemaHeight {
		return cost{}, fmt.Errorf("%s: more than %d schemas in one another apply to the same value", place(s), maxSchemaHeight)
	}
	open[s] = true
	c := ownCost(s)
	for _, to := range alongside(s) {
		more, err := m.costOf(to, open)
		if err != nil {
			return cost{}, err
		}
		c.steps += more.steps
		c.patterns += more.patterns
		c.keys += more.keys
		c.unique += more.unique
		c.height = max(c.height, more.height)
		if c.steps > maxSchemaSteps || c.patterns+c.keys > maxSchemaPatterns {
			return cost{}, fmt.Errorf("%s: more applies to one value than may, with references followed: it takes over %d steps or %d instructions of patterns",
				place(s), maxSchemaSteps, maxSchemaPatterns)
		}
	}
	if c.height++; c.height > maxSchemaHeight {
		return cost{}, fmt.Errorf("%s: more than %d schemas in one another apply to the same value", place(s), maxSchemaHeight)
	}
	delete(open, s)
	m.inPlace[s] = c
	return c, nil
}

// plain says that s is checked at a glance, whatever the value.
func (m *measures) plain(s *jsonschema.Schema) bool {
	c := m.inPlace[s]
	parts := false
	for _, each := range append(alongside(s), s) {
		below(each, func(to *jsonschema.Schema) *jsonschema.Schema {
			parts = true
			return to
		})
	}
	return !parts && c.height <= 2 && c.steps <= 200 && c.patterns+c.keys+c.unique == 0
}

// endless is the total of a schema that refers to itself for parts of a value.
const endless = 1 << 40

// total is what s costs with all its parts, each written out where it is referred to.
func (m *measures) total(s *jsonschema.Schema) int64 {
	if n, ok := m.totals[s]; ok {
		return n
	}
	m.totals[s] = endless // while it is open
	own := ownCost(s)
	n := own.steps + own.patterns + own.keys
	add := func(to *jsonschema.Schema) *jsonschema.Schema {
		n = min(n+m.total(to), endless)
		return to
	}
	for _, to := range alongside(s) {
		add(to)
	}
	below(s, add)
	m.totals[s] = n
	return n
}

// ownCost is what s costs by itself.
func ownCost(s *jsonschema.Schema) cost {
	c := cost{steps: 15}
	compared := []any(nil)
	if s.Enum != nil {
		compared = s.Enum.Values
	}
	if s.Const != nil {
		compared = append(slices.Clip(compared), *s.Const)
	}
	for _, v := range compared {
		if _, number := v.(json.Number); number {
			c.steps += 20
		}
		c.steps += values(v)
	}
	if s.Pattern != nil {
		c.patterns = sizeOf(s.Pattern)
	}
	for re := range s.PatternProperties {
		c.keys += sizeOf(re)
	}
	if s.UniqueItems {
		c.unique = 1
	}
	return c
}

// alongside are the schemas that s applies to the same value.
func alongside(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Concat(s.AllOf, s.AnyOf, s.OneOf, slices.Collect(maps.Values(s.DependentSchemas)))
	for _, one := range []*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else} {
		if one != nil {
			all = append(all, one)
		}
	}
	for _, d := range s.Dependencies {
		if one, ok := d.(*jsonschema.Schema); ok {
			all = append(all, one)
		}
	}
	return all
}

// below visits the schemas that s applies to parts of a value, and puts in the
// place of each what visit returns.
func below(s *jsonschema.Schema, visit func(*jsonschema.Schema) *jsonschema.Schema) {
	for _, one := range []**jsonschema.Schema{&s.PropertyNames, &s.UnevaluatedProperties, &s.Contains, &s.Items2020, &s.UnevaluatedItems, &s.ContentSchema} {
		if *one != nil {
			*one = visit(*one)
		}
	}
	for name, one := range s.Properties {
		s.Properties[name] = visit(one)
	}
	for re, one := range s.PatternProperties {
		s.PatternProperties[re] = visit(one)
	}
	for i, one := range s.PrefixItems {
		s.PrefixItems[i] = visit(one)
	}
	for _, either := range []*any{&s.AdditionalProperties, &s.AdditionalItems, &s.Items} {
		switch v := (*either).(type) {
		case *jsonschema.Schema:
			*either = visit(v)
		case []*jsonschema.Schema:
			for i, one := range v {
				v[i] = visit(one)
			}
		}
	}
}
