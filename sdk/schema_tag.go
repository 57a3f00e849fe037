package sdk

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// keyword is what a jsonschema tag can say of a field.
type keyword struct {
	// bounds is the JSON type that the keyword belongs to; "" for any. Said of a list or a
	// map of such values, it holds for each of them.
	bounds string
	// field is where the schema keeps it: a pointer to be decoded into.
	field func(*jsonschema.Schema) any
}

var keywords = map[string]keyword{
	"minimum":          {"number", func(s *jsonschema.Schema) any { return &s.Minimum }},
	"maximum":          {"number", func(s *jsonschema.Schema) any { return &s.Maximum }},
	"exclusiveMinimum": {"number", func(s *jsonschema.Schema) any { return &s.ExclusiveMinimum }},
	"exclusiveMaximum": {"number", func(s *jsonschema.Schema) any { return &s.ExclusiveMaximum }},
	"multipleOf":       {"number", func(s *jsonschema.Schema) any { return &s.MultipleOf }},
	"minLength":        {"string", func(s *jsonschema.Schema) any { return &s.MinLength }},
	"maxLength":        {"string", func(s *jsonschema.Schema) any { return &s.MaxLength }},
	"pattern":          {"string", func(s *jsonschema.Schema) any { return &s.Pattern }},
	"format":           {"string", func(s *jsonschema.Schema) any { return &s.Format }},
	"minItems":         {"array", func(s *jsonschema.Schema) any { return &s.MinItems }},
	"maxItems":         {"array", func(s *jsonschema.Schema) any { return &s.MaxItems }},
	"uniqueItems":      {"array", func(s *jsonschema.Schema) any { return &s.UniqueItems }},
	"minProperties":    {"object", func(s *jsonschema.Schema) any { return &s.MinProperties }},
	"maxProperties":    {"object", func(s *jsonschema.Schema) any { return &s.MaxProperties }},
	"enum":             {"scalar", func(s *jsonschema.Schema) any { return &s.Enum }},
	"default":          {"", func(s *jsonschema.Schema) any { return &s.Default }},
	"example":          {"", func(s *jsonschema.Schema) any { return &s.Examples }},
	"title":            {"", func(s *jsonschema.Schema) any { return &s.Title }},
	"writeOnly":        {"", func(s *jsonschema.Schema) any { return &s.WriteOnly }},
	"deprecated":       {"", func(s *jsonschema.Schema) any { return &s.Deprecated }},
	"description":      {"", func(s *jsonschema.Schema) any { return &s.Description }},
}

// formats are those that the host checks.
var formats = []string{"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "iri", "iri-reference",
	"json-pointer", "period", "relative-json-pointer", "semver", "time", "uri", "uri-reference", "uri-template", "uuid"}

// keywordTag is a tag of keywords. Any other is a description.
var keywordTag = regexp.MustCompile(`^\s*\S*=`)

// bound puts into s what the jsonschema tag of its field says: a description, or keywords
// with their values between commas.
func bound(s *jsonschema.Schema, tag string) error {
	parts := splitTag(tag)
	if !keywordTag.MatchString(tag) {
		for _, part := range parts {
			name, _, given := strings.Cut(strings.TrimSpace(part), "=")
			if _, known := keywords[name]; known && given || name == tag && (known || name == "required" || name == "optional" || name == "") {
				return fmt.Errorf("it is taken for a description. Keywords stand first, each with its value, and a description last: " +
					`"minimum=1,maximum=5,description=how many". A field is required unless its json tag has omitempty or omitzero, or it has a default`)
			}
		}
		s.Description = tag
		return nil
	}
	for i, part := range parts {
		name, value, given := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		if !given {
			return fmt.Errorf(`%q is no keyword=value; a comma within a value is written \\,`, part)
		}
		if name == "description" { // the rest, commas and all
			s.Description = strings.Join(append([]string{value}, parts[i+1:]...), ",")
			break
		}
		if err := setKeyword(s, name, value); err != nil {
			return err
		}
	}
	return checkValues(s)
}

// splitTag splits at commas that no backslash stands before.
func splitTag(tag string) []string {
	var parts []string
	part := ""
	for piece := range strings.SplitSeq(tag, ",") {
		if cut, escaped := strings.CutSuffix(piece, `\`); escaped {
			part += cut + ","
			continue
		}
		parts = append(parts, part+piece)
		part = ""
	}
	if part != "" {
		parts = append(parts, part)
	}
	return parts
}

func setKeyword(s *jsonschema.Schema, name, value string) error {
	k, known := keywords[name]
	if !known {
		return fmt.Errorf("%q is no keyword; %s", name, meantKeyword(name))
	}
	s = boundPart(s, k.bounds)
	if s == nil {
		return fmt.Errorf("%s bounds a value of type %s, which the field does not hold", name, k.bounds)
	}
	if name == "default" || name == "example" || name == "enum" {
		return setValue(s, name, value)
	}
	was := *s
	field := k.field(s)
	reflect.ValueOf(field).Elem().SetZero() // or the number that was there before would be written over, in was as well
	text := value
	if _, isText := field.(*string); isText {
		quoted, _ := json.Marshal(value) // a string never fails
		text = string(quoted)
	}
	if text == "null" || json.Unmarshal([]byte(text), field) != nil {
		return fmt.Errorf("%s=%s: want %s", name, value, wanted(field))
	}
	return checkKeyword(name, value, &was, s)
}

// meantKeyword says which keyword begins most like name, or which there are if none does.
func meantKeyword(name string) string {
	known := slices.Sorted(maps.Keys(keywords))
	shortFirst := slices.SortedStableFunc(slices.Values(known), func(a, b string) int { return len(a) - len(b) })
	for length := len(name); length > 2; length-- {
		for _, k := range shortFirst {
			if len(k) >= length && strings.EqualFold(k[:length], name[:length]) {
				return fmt.Sprintf("did you mean %q?", k)
			}
		}
	}
	return "there are: " + strings.Join(known, ", ")
}

// boundPart is s, or what s holds many of, if it is of the type; nil if neither is.
func boundPart(s *jsonschema.Schema, typ string) *jsonschema.Schema {
	for ; s != nil; s = itemsOf(s) {
		if typ == "" || s.Type == typ || slices.Contains(s.Types, typ) {
			return s
		}
		integer := s.Type == "integer" || slices.Contains(s.Types, "integer")
		many := s.Type == "object" || slices.Contains(s.Types, "array") || s.Type == "array"
		if typ == "number" && integer || typ == "scalar" && !many {
			return s
		}
	}
	return nil
}

// itemsOf is the schema of what a list or a map holds; nil of anything else.
func itemsOf(s *jsonschema.Schema) *jsonschema.Schema {
	if s.Items == nil && len(s.Properties) == 0 {
		return s.AdditionalProperties
	}
	return s.Items
}

func wanted(field any) string {
	switch field.(type) {
	case **float64:
		return "a number"
	case **int:
		return "a whole number"
	case *bool:
		return "true or false"
	}
	return "a text"
}

// checkKeyword refuses what the host could not keep, or the field's Go type not hold.
func checkKeyword(name, value string, was, s *jsonschema.Schema) error {
	switch name {
	case "pattern":
		if _, err := regexp.Compile(value); err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
	case "format":
		if !slices.Contains(formats, value) {
			return fmt.Errorf("format=%s is none that the host checks; there are: %s", value, strings.Join(formats, ", "))
		}
	case "multipleOf":
		if *s.MultipleOf <= 0 {
			return fmt.Errorf("multipleOf=%s: want a number over 0", value)
		}
	case "minimum", "maximum":
		if was.Minimum != nil && *s.Minimum < *was.Minimum || was.Maximum != nil && *s.Maximum > *was.Maximum {
			return fmt.Errorf("%s=%s is beyond what the field's Go type holds", name, value)
		}
	case "minItems":
		if *s.MinItems > 0 && s.Type == "" { // a nil slice is null in JSON, and has no items
			s.Type, s.Types = "array", nil
		}
	}
	for _, n := range []*int{s.MinLength, s.MaxLength, s.MinItems, s.MaxItems, s.MinProperties, s.MaxProperties} {
		if n != nil && *n < 0 {
			return fmt.Errorf("%s=%s: want 0 or more", name, value)
		}
	}
	return nil
}

// setValue keeps a value of the field's own type: a text as it stands, and all else as JSON.
func setValue(s *jsonschema.Schema, name, value string) error {
	text := json.RawMessage(value)
	if s.Type == "string" || slices.Equal(s.Types, []string{"null", "string"}) {
		text, _ = json.Marshal(value) // a string never fails
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("%s=%s: want JSON: %w", name, value, err)
	}
	switch name {
	case "default":
		s.Default = text
	case "example":
		s.Examples = append(s.Examples, v)
	case "enum":
		if len(s.Enum) == 0 && slices.Contains(s.Types, "null") {
			s.Enum = []any{nil} // what may be null still may
		}
		s.Enum = append(s.Enum, v)
	}
	return nil
}

// checkValues refuses a default, an example or a value of an enum that the field itself
// would refuse.
func checkValues(s *jsonschema.Schema) error {
	for ; s != nil; s = itemsOf(s) {
		rules, err := s.CloneSchemas().Resolve(nil)
		if err != nil {
			return err
		}
		values := slices.Concat(s.Enum, s.Examples)
		if s.Default != nil {
			var v any
			_ = json.Unmarshal(s.Default, &v) // it was read before
			values = append(values, v)
		}
		for _, v := range values {
			if err := rules.Validate(v); err != nil {
				return fmt.Errorf("the value %v is refused by the field itself: %w", v, err)
			}
		}
	}
	return nil
}
