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

// surelyMatches says whether a valid JSON document surely matches the schema.
func (s *plainSchema) surelyMatches(document []byte) bool {
	i := afterSpace(document, 0)
	_, ok := s.matches(document, i)
	return ok
}

// matches looks at the value that begins at i, and says where it ends.
func (s *plainSchema) matches(data []byte, i int) (end int, ok bool) {
	if s.unknown {
		return 0, false
	}
	switch c := data[i]; c {
	case '{':
		if !s.takes(jsonObject) || s.texts != nil {
			return 0, false
		}
		return s.matchObject(data, i)
	case '[':
		if !s.takes(jsonArray) || s.texts != nil {
			return 0, false
		}
		return s.matchArray(data, i)
	case '"':
		text, end, escaped := textAt(data, i)
		return end, s.takes(jsonString) && s.matchText(text, escaped)
	case 'n':
		return i + len("null"), s.takes(jsonNull) && s.texts == nil
	case 't':
		return i + len("true"), s.takes(jsonBoolean) && s.texts == nil
	case 'f':
		return i + len("false"), s.takes(jsonBoolean) && s.texts == nil
	}
	return s.matchNumber(data, i)
}

func (s *plainSchema) takes(t jsonTypes) bool { return s.types == 0 || s.types&t != 0 }

func (s *plainSchema) matchObject(data []byte, i int) (end int, ok bool) {
	var seen uint64
	for i = afterSpace(data, i+1); data[i] != '}'; {
		name, end, escaped := textAt(data, i)
		if escaped || !isASCII(name) {
			return 0, false
		}
		to := s.others
		if p, named := s.properties[string(name)]; named {
			to = p.schema
			seen |= p.bit
		}
		i = afterSpace(data, afterSpace(data, end)+1) // behind the colon
		if to == nil {
			to = &anyPlain
		}
		if i, ok = to.matches(data, i); !ok {
			return 0, false
		}
		i = afterComma(data, i)
	}
	return i + 1, seen == s.required
}

var anyPlain = *newPlainSchema(true)

func (s *plainSchema) matchArray(data []byte, i int) (end int, ok bool) {
	items := s.items
	if items == nil {
		items = &anyPlain
	}
	n := int64(0)
	for i = afterSpace(data, i+1); data[i] != ']'; n++ {
		if i, ok = items.matches(data, i); !ok {
			return 0, false
		}
		i = afterComma(data, i)
	}
	return i + 1, n >= s.minItems && n <= s.maxItems
}

func (s *plainSchema) matchText(text []byte, escaped bool) bool {
	if escaped { // it stands for another text
		return s.texts == nil && s.minLength <= 0 && s.maxLength == math.MaxInt64 && s.pattern == nil
	}
	if s.texts != nil && !slices.ContainsFunc(s.texts, func(one string) bool { return one == string(text) }) {
		return false
	}
	if s.minLength > 0 || s.maxLength != math.MaxInt64 {
		if n := int64(utf8.RuneCount(text)); n < s.minLength || n > s.maxLength {
			return false
		}
	}
	return s.pattern == nil || isASCII(text) && s.pattern.Match(text)
}

// matchNumber takes integers that are written as such, and others only where nothing bounds them.
func (s *plainSchema) matchNumber(data []byte, i int) (end int, ok bool) {
	end = i + 1
	integer := true
	for ; end < len(data); end++ {
		switch c := data[end]; {
		case c >= '0' && c <= '9':
			continue
		case c == '.', c == 'e', c == 'E', c == '+', c == '-':
			integer = false
			continue
		}
		break
	}
	bounded := s.minimum != math.MinInt64 || s.maximum != math.MaxInt64
	switch {
	case s.texts != nil:
		return 0, false
	case !integer:
		return end, s.takes(jsonNumber) && !bounded
	case bounded:
		n, err := strconv.ParseInt(string(data[i:end]), 10, 64)
		return end, err == nil && s.takes(jsonInteger) && n >= s.minimum && n <= s.maximum
	}
	return end, s.takes(jsonInteger)
}

// textAt is the string that begins at i as it is written, where it ends, and whether there
// are escapes in it.
func textAt(data []byte, i int) (text []byte, end int, escaped bool) {
	for end = i + 1; data[end] != '"'; end++ {
		if data[end] == '\\' {
			escaped = true
			end++
		}
	}
	return data[i+1 : end], end + 1, escaped
}

func isASCII(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c >= utf8.RuneSelf })
}

func afterSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// afterComma is where what follows a value of a list begins: the next, or the list's end.
func afterComma(data []byte, i int) int {
	if i = afterSpace(data, i); data[i] == ',' {
		i = afterSpace(data, i+1)
	}
	return i
}
