package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/taskhost/taskhost/host/task"
)

// What matches at a glance of what is usual, and what must be left to the library.
func TestPlainSchema(t *testing.T) {
	for schema, inputs := range map[string]map[string]bool{
		importSchema: {
			`{"url":"https://images.example.org/a.qcow2","format":"qcow2","size":1073741824,"tags":["a","b"]}`: true,
			"\n{ \"url\" : \"a\\n\\u00e9\" ,\t\"tags\" : null , \"allow_any\" : false }\r\n":                   true,
			`{"url":"ü","tags":[]}`:                                   true,
			`{"url":"a","sha256":"` + strings.Repeat("0f", 32) + `"}`: true,
			`{}`:                                      false,
			`{"url":7}`:                               false,
			`{"url":"a","other":1}`:                   false,
			`{"url":"a","\u0073ize":1}`:               false, // right, and not at a glance
			`{"url":"a","size":-1}`:                   false,
			`{"url":"a","size":1.0}`:                  false, // right
			`{"url":"a","format":"zip"}`:              false,
			`{"url":"a","format":"ra\u0077"}`:         false, // right
			`{"url":"a","sha256":"0"}`:                false,
			`{"url":"a","tags":["a",1]}`:              false,
			`{"url":"a","tags":{}}`:                   false,
			`{"url":"a","size":18446744073709551616}`: false, // right
			`[]`: false, `null`: false, `"a"`: false, `1`: false, `true`: false,
		},
		`{"type":"array","items":{"type":"number"},"minItems":1,"maxItems":3}`:        {`[1,2.5,-3e2]`: true, `[]`: false, `[1,2,3,4]`: false, `["a"]`: false, `[0]`: true},
		`{"type":"object","additionalProperties":{"type":"integer"}}`:                 {`{"a":1,"b":2}`: true, `{}`: true, `{"a":1.5}`: false, `{"ä":1}`: false},
		`{"properties":{"a":{"type":"string","format":"date-time"},"b":true}}`:        {`{"b":[1,{"c":"\\"}]}`: true, `{"a":"2026-11-23T12:00:00Z"}`: false, `7`: true},
		`{"type":"string","minLength":2,"maxLength":3}`:                               {`"äöü"`: true, `"a"`: false, `"abcd"`: false, `"\u0061b"`: false},
		`{"type":["null","string"],"contentEncoding":"base64","description":"bytes"}`: {`null`: true, `"YQ=="`: true, `1`: false},
		`{"enum":[]}`: {`1`: false, `"a"`: false},
		`true`: {
			`{"a":[1,"b",null]}`: true, `"\"\\\/\b\f\n\r\t\uaF09"`: true, "\"\xff\"": true, // which encoding/json takes, too
			`"a`: false, `"\`: false, `"\u12`: false, `"\u12g4"`: false, `"\x"`: false, "\"\n\"": false, `nul`: false, `True`: false,
			`01`: false, `-`: false, `+1`: false, `.5`: false, `1.`: false, `1e`: false, `1e+`: false, `-0.5e-10`: true, `1e401`: false,
			strings.Repeat("1", task.MaxJSONNumber): true, strings.Repeat("1", task.MaxJSONNumber+1): false,
			`[1,]`: false, `[,1]`: false, `[1 2]`: false, `[1`: false, `{"a":1,}`: false, `{,"a":1}`: false, `{"a":1 "b":2}`: false, `{"a"}`: false, `{a:1}`: false, `{"a":1`: false,
			`1 2`: false, ``: false, ` `: false,
			strings.Repeat("[", task.MaxJSONDepth) + strings.Repeat("]", task.MaxJSONDepth):                        true,
			strings.Repeat("[", task.MaxJSONDepth+1) + strings.Repeat("]", task.MaxJSONDepth+1):                    false,
			"[" + strings.Repeat("[],", task.MaxJSONDepth) + strings.Repeat(`{"a":{}},`, task.MaxJSONDepth) + "1]": true,
		},
		`false`: {`1`: false},
		`{"$schema":"http://json-schema.org/draft-07/schema#","type":"string"}`: {`"a"`: false},
	} {
		v := mustCompile(t, schema)
		for input, want := range inputs {
			if got := v.plain.surelyMatches([]byte(input)); got != want {
				t.Errorf("%s of %s: %v, want %v", input, schema, got, want)
			}
		}
	}
}

// A plain schema never takes what is no JSON, beyond its bounds, or what the library refuses.
func sayNoMore(t interface{ Fatalf(string, ...any) }, schema, input string) {
	v, err := newValidator("t", json.RawMessage(schema))
	if err != nil || v == nil || !v.plain.surelyMatches([]byte(input)) {
		return
	}
	err = task.BoundJSON([]byte(input))
	if err != nil || !json.Valid([]byte(input)) {
		t.Fatalf("%s of %s is taken at a glance, and is no JSON, or none within the bounds: %v", input, schema, err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(input)))
	if err == nil {
		err = validate(v.schema, doc)
	}
	if err != nil {
		t.Fatalf("%s of %s is taken at a glance, and is wrong: %v", input, schema, err)
	}
}

func FuzzPlainSchema(f *testing.F) {
	for _, c := range pairsOf {
		for _, input := range append(c.right, c.wrong...) {
			f.Add(c.schema, input)
		}
	}
	for _, input := range []string{`[-0.5e+3, "\u00e9\n", {"a": true, "b": null}]`, `{"a":1,}`, `"\ud800"`, `1e999`} {
		f.Add("true", input)
	}
	f.Fuzz(func(t *testing.T, schema, input string) {
		if len(schema)+len(input) < 4000 {
			sayNoMore(t, schema, input)
		}
	})
}

// The same of schemas and inputs that are made to meet.
func TestPlainSchemaSaysNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { sayNoMore(t, drawSchema(t, 3), drawInput(t, 4)) })
}

var drawnTexts = []string{`"a"`, `"b"`, `"ab"`, `""`, `"ü"`, `"\u0061"`, `"a\"b"`, "\"\xff\"", `"\ufffd"`}

func drawSchema(t *rapid.T, depth int) string {
	if depth == 0 || rapid.IntRange(0, 9).Draw(t, "simple") == 0 {
		return rapid.SampledFrom([]string{`true`, `false`, `{}`, `{"type":"integer"}`, `{"type":"string"}`}).Draw(t, "schema")
	}
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	number := rapid.SampledFrom([]string{"-1", "0", "1", "2", "1.0", "1e1", "9223372036854775807"})
	for range rapid.IntRange(0, 4).Draw(t, "keywords") {
		switch rapid.IntRange(0, 10).Draw(t, "keyword") {
		case 0:
			add(`"type":%s`, rapid.SampledFrom([]string{`"object"`, `"array"`, `"string"`, `"integer"`, `"number"`, `["null","string"]`, `["boolean","integer"]`}).Draw(t, "type"))
		case 1:
			add(`"properties":{"a":%s,"b":%s}`, drawSchema(t, depth-1), drawSchema(t, depth-1))
		case 2:
			add(`"required":%s`, rapid.SampledFrom([]string{`[]`, `["a"]`, `["a","b"]`, `["c"]`}).Draw(t, "required"))
		case 3:
			add(`"additionalProperties":%s`, drawSchema(t, depth-1))
		case 4:
			add(`"items":%s`, drawSchema(t, depth-1))
		case 5:
			add(`"enum":[%s]`, strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{`"a"`, `"ü"`, `"\ufffd"`, `1`, `null`}), 0, 3).Draw(t, "enum"), ","))
		case 6:
			add(`"pattern":%s`, rapid.SampledFrom([]string{`"^a"`, `"b$"`, `"^.$"`}).Draw(t, "pattern"))
		default:
			add(`"%s":%s`, rapid.SampledFrom([]string{"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "exclusiveMinimum", "multipleOf"}).Draw(t, "bound"), number.Draw(t, "number"))
		}
	}
	return "{" + strings.Join(words, ",") + "}"
}

func drawInput(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	switch {
	case kind == 0 && depth > 0:
		var members []string
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			name := rapid.SampledFrom([]string{`"a"`, `"b"`, `"c"`, `"\u0061"`, `"ü"`}).Draw(t, "name")
			members = append(members, name+rapid.SampledFrom([]string{":", " : "}).Draw(t, "colon")+drawInput(t, depth-1))
		}
		return "{" + strings.Join(members, ",") + "}"
	case kind == 1 && depth > 0:
		var items []string
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			items = append(items, drawInput(t, depth-1))
		}
		return "[ " + strings.Join(items, " , ") + "]"
	case kind == 2:
		return rapid.SampledFrom([]string{"0", "1", "-1", "2", "1.0", "1.5", "1e1", "-0", "9223372036854775808"}).Draw(t, "number")
	case kind == 3:
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
	}
	return rapid.SampledFrom(drawnTexts).Draw(t, "text")
}
