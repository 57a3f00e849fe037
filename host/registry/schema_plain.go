package registry

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Most schemas are derived of a Go type, and most inputs match. The library builds a tree of
// an input before it looks at it, with fractions of its numbers, which costs ten times what
// it takes to see on the bytes that a plain input matches a plain schema. So that is looked
// for first. It only ever says yes: faults, and all that is not seen at a glance, are the
// library's to tell.

// plainSchema is a schema of the keywords that are read here, with their meaning in draft
// 2020-12. The zero value takes any value.
type plainSchema struct {
	unknown bool      // it has other keywords: nothing is surely right
	types   jsonTypes // 0: any

	properties map[string]plainProperty
	required   uint64       // the bits of those that must be there
	others     *plainSchema // of properties that are none of those

	items    *plainSchema
	minItems int64
	maxItems int64

	texts     []string // the values of an enum; nil: any
	minLength int64    // in characters
	maxLength int64
	pattern   *pattern

	minimum int64
	maximum int64
}

// plainProperty is a property by name. Its bit, if any, is set once it was seen.
type plainProperty struct {
	schema *plainSchema
	bit    uint64
}

// jsonTypes is a set of types of JSON values.
type jsonTypes uint8

const (
	jsonNull jsonTypes = 1 << iota
	jsonBoolean
	jsonInteger
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

var jsonTypesByName = map[string]jsonTypes{"null": jsonNull, "boolean": jsonBoolean, "integer": jsonInteger, "number": jsonNumber | jsonInteger,
	"string": jsonString, "array": jsonArray, "object": jsonObject}

// newPlainSchema reads a schema that the library has compiled.
func newPlainSchema(doc any) *plainSchema {
	s := &plainSchema{maxItems: math.MaxInt64, maxLength: math.MaxInt64, minimum: math.MinInt64, maximum: math.MaxInt64}
	object, isObject := doc.(map[string]any)
	s.unknown = !isObject && doc != true
	for keyword, v := range object {
		if !s.read(keyword, v) {
			s.unknown = true
		}
	}
	if names, _ := object["required"].([]any); !s.require(names) {
		s.unknown = true
	}
	return s
}

// read takes up a keyword; false if it is not known, or says what is not foreseen.
func (s *plainSchema) read(keyword string, v any) (known bool) {
	switch keyword {
	case "title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "required":
		return true
	case "$schema":
		return v == "https://json-schema.org/draft/2020-12/schema"
	case "type":
		return s.readTypes(v)
	case "properties":
		all, ok := v.(map[string]any)
		for name, one := range all {
			s.property(name, newPlainSchema(one))
		}
		return ok
	case "additionalProperties":
		if v == false {
			s.others = &plainSchema{unknown: true}
		} else {
			s.others = newPlainSchema(v)
		}
		return true
	case "items":
		s.items = newPlainSchema(v)
		return true
	case "enum":
		all, ok := v.([]any)
		for _, one := range all {
			text, isText := one.(string)
			ok = ok && isText
			s.texts = append(s.texts, text)
		}
		return ok && len(all) > 0
	case "pattern":
		text, ok := v.(string)
		re, err := compilePattern(text)
		s.pattern, _ = re.(*pattern)
		return ok && err == nil
	}
	to := map[string]*int64{"minimum": &s.minimum, "maximum": &s.maximum, "minLength": &s.minLength, "maxLength": &s.maxLength,
		"minItems": &s.minItems, "maxItems": &s.maxItems}[keyword]
	n, isNumber := v.(json.Number)
	if to == nil || !isNumber {
		return false
	}
	var err error
	*to, err = strconv.ParseInt(n.String(), 10, 64)
	return err == nil && *to != math.MaxInt64 && *to != math.MinInt64 // which stand for no bound
}

func (s *plainSchema) readTypes(v any) bool {
	names, isList := v.([]any)
	if !isList {
		names = []any{v}
	}
	for _, name := range names {
		text, _ := name.(string)
		s.types |= jsonTypesByName[text]
	}
	return s.types != 0
}

func (s *plainSchema) property(name string, schema *plainSchema) {
	if s.properties == nil {
		s.properties = map[string]plainProperty{}
	}
	s.properties[name] = plainProperty{schema: schema}
}

// require gives each of the required properties its bit; false if there are too many.
func (s *plainSchema) require(names []any) bool {
	for i, name := range names {
		text, ok := name.(string)
		if !ok || i == 64 {
			return false
		}
		if _, named := s.properties[text]; !named { // it is one of the others
			return false
		}
		p := s.properties[text]
		p.bit = 1 << i
		s.properties[text] = p
		s.required |= p.bit
	}
	return true
}

// surelyMatches says whether a document is surely JSON, within its bounds, and matches the schema.
func (s *plainSchema) surelyMatches(document []byte) bool {
	w := plainWalk{data: document}
	return w.value(s) && w.afterSpace() == len(document)
}

func (s *plainSchema) takes(t jsonTypes) bool { return s.types == 0 || s.types&t != 0 }

func (s *plainSchema) matchText(t *plainText) bool {
	if t.escaped {
		return s.texts == nil && s.minLength <= 0 && s.maxLength == math.MaxInt64 && s.pattern == nil
	}
	if s.texts != nil && !slices.ContainsFunc(s.texts, func(one string) bool { return one == string(t.bytes) }) {
		return false
	}
	if s.minLength > 0 || s.maxLength != math.MaxInt64 {
		if n := int64(utf8.RuneCount(t.bytes)); n < s.minLength || n > s.maxLength {
			return false
		}
	}
	return s.pattern == nil || t.ascii && s.pattern.Match(t.bytes)
}
