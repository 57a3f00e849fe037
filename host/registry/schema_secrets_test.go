package registry

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// What a schema marks writeOnly is found wherever the mark stands, also where it may hold in
// some cases alone. [values] of the input are those that are.
func TestSecretsOfSchema(t *testing.T) {
	for _, c := range []struct{ schema, input, want string }{
		{`{"properties":{"a":{"writeOnly":true},"b":{"writeOnly":false}}}`, `{"a":{"x":1},"b":2,"c":3}`, `{"x":1}`},
		{`{"properties":{"a":{"writeOnly":true}}}`, `{"a":1,"a":"2"}`, `1 "2"`},
		{`{"properties":{"ä/":{"writeOnly":true}}}`, `{"\u00e4\/":1}`, `1`},
		{`{"writeOnly":true}`, ` [1] `, `[1]`},
		{`{"items":{"properties":{"a":{"writeOnly":true}}}}`, `[{"a":1},{"b":2},3]`, `1`},
		{`{"prefixItems":[true,{"writeOnly":true}],"items":{"properties":{"a":{"writeOnly":true}}}}`, `[0,1,{"a":2}]`, `1 2`},
		{`{"additionalProperties":{"writeOnly":true},"properties":{"a":true},"patternProperties":{"^p":true}}`, `{"a":1,"pq":2,"c":3}`, `3`},
		{`{"patternProperties":{"_key$":{"writeOnly":true}}}`, `{"api_key":1,"key":2}`, `1`},
		{`{"unevaluatedProperties":{"writeOnly":true},"properties":{"a":true}}`, `{"a":1,"b":2}`, `2`},
		{`{"contains":{"writeOnly":true}}`, `[1,2]`, `1 2`},
		{`{"$ref":"#/$defs/x","$defs":{"x":{"properties":{"a":{"$ref":"#/$defs/y"}}},"y":{"$ref":"#/$defs/z"},"z":{"writeOnly":true}}}`, `{"a":1}`, `1`},
		{`{"properties":{"a":{"$ref":"#/$defs/x","writeOnly":true}},"$defs":{"x":{"type":"number"}}}`, `{"a":1}`, `1`},
		{`{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"},"a":{"writeOnly":true}}}}}`, `{"next":{"next":{"a":1}},"a":2}`, `1 2`},
		{`{"anyOf":[{"properties":{"a":{"writeOnly":true}}},{"properties":{"b":{"writeOnly":true}}}]}`, `{"a":1,"b":2}`, `1 2`},
		{`{"oneOf":[{"required":["a"]},{"properties":{"b":{"writeOnly":true}}}],"allOf":[{"properties":{"c":{"writeOnly":true}}}]}`, `{"a":0,"b":1,"c":2}`, `1 2`},
		{`{"if":{"required":["a"]},"then":{"properties":{"a":{"writeOnly":true}}},"else":{"properties":{"b":{"writeOnly":true}}}}`, `{"a":1,"b":2}`, `1 2`},
		{`{"dependentSchemas":{"a":{"properties":{"b":{"writeOnly":true}}}}}`, `{"b":1}`, `1`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[true,{"writeOnly":true}],"additionalItems":{"writeOnly":true},"dependencies":{"a":{"properties":{"a":{"writeOnly":true}}}}}`, `[0,1,2]`, `1 2`},
		{`{"properties":{"writeOnly":{"type":"number"}}}`, `{"writeOnly":1}`, ``},
		{`{"$defs":{"unused":{"writeOnly":true}}}`, `{"unused":1}`, ``},
		{`{"properties":{"a":{"writeOnly":true}}}`, `[{"a":1}]`, ``},
	} {
		parts, err := mustCompile(t, c.schema).secrets().in(json.RawMessage(c.input))
		var got []string
		for _, p := range parts {
			got = append(got, c.input[p.From:p.To])
		}
		if strings.Join(got, " ") != c.want || err != nil {
			t.Errorf("%s marks of %s: %q, want %s, %v", c.schema, c.input, got, c.want, err)
		}
	}
	if v := mustCompile(t, importSchema); v.secrets() != nil {
		t.Error("a schema without marks costs a walk")
	}
	for _, unread := range []string{`{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"a":{"writeOnly":true}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"$ref":"#/definitions/x","writeOnly":true}},"definitions":{"x":{}}}`} {
		if _, err := newValidator("t", json.RawMessage(unread)); err == nil || !strings.Contains(err.Error(), "writeOnly") {
			t.Errorf("%s is taken, and its mark is not read: %v", unread, err)
		}
	}
}

// An error tells that a secret is wrong, and not what it is.
func TestFaultsOfSecrets(t *testing.T) {
	const schema = `{"type":"object","properties":{"token":{"writeOnly":true,"type":"string","format":"uri","pattern":"^x","enum":["y"]},
"pin":{"writeOnly":true,"maximum":5},"login":{"writeOnly":true,"properties":{"s3cret":{"type":"number"}},"additionalProperties":false},"n":{"maximum":1}},"additionalProperties":false}`
	input := json.RawMessage(`{"token":"http://u:s3cret@[::1","pin":7373,"login":{"s3cret":"s3cret","s3crets":1},"n":7777}`)
	for _, weight := range []int64{1, endless} { // with and without a guard
		v := mustCompile(t, schema)
		v.weight = weight
		err := v.check(t.Context(), t.Context(), "t", input, v.secrets())
		var e *task.Error
		if !errors.As(err, &e) || len(e.Fields) < 5 {
			t.Fatalf("found: %v", err)
		}
		said := e.Message
		for _, f := range e.Fields {
			said += "\n" + f.Place() + " " + f.Message
		}
		if strings.Contains(said, "s3cret") || strings.Contains(said, "7373") || !strings.Contains(said, "/input/token does not match") ||
			!strings.Contains(said, "(keyword maximum)") || !strings.Contains(said, "7,777") {
			t.Errorf("told: %s", said)
		}
	}
}

// Looking for secrets is bounded work, whatever the schema.
func TestSecretsOfHugeInput(t *testing.T) {
	var all strings.Builder
	for range 700 {
		all.WriteString(`{"items":{"properties":{"a":{"writeOnly":true}}}},`)
	}
	f := mustCompile(t, `{"allOf":[`+strings.TrimSuffix(all.String(), ",")+`]}`).secrets()
	if _, err := f.in(json.RawMessage(`[` + strings.Repeat(`1,`, 200_000) + `1]`)); !errors.Is(err, errTooMuchWork) {
		t.Errorf("looked through: %v", err)
	}
	if parts, err := f.in(json.RawMessage(`[{"a":1}]`)); err != nil || len(parts) != 1 {
		t.Errorf("found %v, %v", parts, err)
	}
}
