package sdk

import (
	"context"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type base struct {
	Common string `json:"common,omitempty"`
}

type inner struct {
	Unit string `json:"unit" jsonschema:"default=kg,enum=kg,enum=lb"`
	Many int    `json:"many"`
}

// What is derived of a field, as JSON: the schema of a struct with that one field.
func TestDerivedSchemas(t *testing.T) {
	for _, c := range []struct {
		name string
		of   reflect.Type
		want string // of the field
		may  bool   // it may be left out
	}{
		{"described", reflect.TypeFor[struct {
			F string `jsonschema:"who is to be greeted, and how"`
		}](), `{"type":"string","description":"who is to be greeted, and how"}`, false},
		{"numbers", reflect.TypeFor[struct {
			F int `jsonschema:"minimum=1, maximum=10, multipleOf=2"`
		}](), `{"type":"integer","minimum":1,"maximum":10,"multipleOf":2}`, false},
		{"exclusive", reflect.TypeFor[struct {
			F float64 `jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1.5,example=0.5,example=1"`
		}](), `{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1.5,"examples":[0.5,1]}`, false},
		{"texts", reflect.TypeFor[struct {
			F string `json:",omitempty" jsonschema:"minLength=1,maxLength=8,pattern=^[a-z]{1\\,8}$,title=Name,description=a name, in short"`
		}](), `{"type":"string","title":"Name","description":"a name, in short","minLength":1,"maxLength":8,"pattern":"^[a-z]{1,8}$"}`, true},
		{"enum and default", reflect.TypeFor[struct {
			F string `jsonschema:"enum=warm,enum=cold,default=warm"`
		}](), `{"type":"string","enum":["warm","cold"],"default":"warm"}`, true},
		{"enum that may be null", reflect.TypeFor[struct {
			F *int `jsonschema:"enum=1,enum=2"`
		}](), `{"type":["null","integer"],"enum":[null,1,2]}`, false},
		{"a list and its items", reflect.TypeFor[struct {
			F []string `jsonschema:"minItems=1,maxItems=3,uniqueItems=true,minLength=2,enum=aa,enum=bb"`
		}](), `{"type":"array","minItems":1,"maxItems":3,"uniqueItems":true,"items":{"type":"string","minLength":2,"enum":["aa","bb"]}}`, false},
		{"a list that may be null", reflect.TypeFor[struct {
			F []int `jsonschema:"maximum=5,default=[1\\,2]"`
		}](), `{"type":["null","array"],"default":[1,2],"items":{"type":"integer","maximum":5}}`, true},
		{"a map and its values", reflect.TypeFor[struct {
			F map[string]int `jsonschema:"maxProperties=2,minimum=0"`
		}](), `{"type":"object","maxProperties":2,"additionalProperties":{"type":"integer","minimum":0}}`, false},
		{"a format", reflect.TypeFor[struct {
			F string `jsonschema:"format=email,deprecated=true"`
		}](), `{"type":"string","format":"email","deprecated":true}`, false},
		{"a secret", reflect.TypeFor[struct {
			F map[string]string `json:",omitempty" jsonschema:"writeOnly=true,description=the headers"`
		}](), `{"type":"object","description":"the headers","writeOnly":true,"additionalProperties":{"type":"string"}}`, true},
		{"bytes", reflect.TypeFor[struct{ F []byte }](), `{"type":["null","string"],"contentEncoding":"base64"}`, false},
		{"a time", reflect.TypeFor[struct{ F *time.Time }](), `{"type":["null","string"],"format":"date-time"}`, false},
		{"any JSON", reflect.TypeFor[struct{ F *json.RawMessage }](), `{"type":["null","boolean","object","array","number","string"]}`, false},
		{"a number as it is written", reflect.TypeFor[struct{ F json.Number }](), `{"type":"number"}`, false},
		{"a text of its own", reflect.TypeFor[struct{ F netip.Addr }](), `{"type":"string"}`, false},
		{"a number in a string", reflect.TypeFor[struct {
			F *uint8 `json:",string"`
		}](), `{"type":["null","string"]}`, false},
		{"embedded under a name", reflect.TypeFor[struct {
			base `json:"-"`
			F    base
		}](), `{"type":"object","properties":{"common":{"type":"string"}},"additionalProperties":false}`, false},
		{"nested", reflect.TypeFor[struct{ F []inner }](), `{"type":["null","array"],"items":{"type":"object","required":["many"],"additionalProperties":false,
			"properties":{"unit":{"type":"string","default":"kg","enum":["kg","lb"]},"many":{"type":"integer"}}}}`, false},
	} {
		s, err := schemaOf(c.of)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := json.Marshal(s.Properties["F"])
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !sameJSON(t, got, c.want) || c.may != (len(s.Required) == 0) {
			t.Errorf("%s: %s, required %v, want %s", c.name, got, s.Required, c.want)
		}
	}
}

func sameJSON(t *testing.T, a []byte, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

type tree struct {
	Children []tree `json:"children"`
}

type list []list

// A mistake in a type or a tag is a sentence of NewScripts, which says where it is and what to do.
func TestRefusedSchemas(t *testing.T) {
	for _, c := range []struct {
		of   reflect.Type
		want string
	}{
		{reflect.TypeFor[struct {
			F string `jsonschema:""`
		}](), "field F of struct"},
		{reflect.TypeFor[struct {
			F string `jsonschema:"required"`
		}](), "omitempty"},
		{reflect.TypeFor[struct {
			F int `jsonschema:"how many, minimum=1"`
		}](), "a description last"},
		{reflect.TypeFor[struct {
			F int `jsonschema:"minimun=1"`
		}](), `"minimun" is no keyword; did you mean "minimum"?`},
		{reflect.TypeFor[struct {
			F int `jsonschema:"Max=1"`
		}](), `"Max" is no keyword; did you mean "maximum"?`},
		{reflect.TypeFor[struct {
			F int `jsonschema:"ä€=1"`
		}](), `there are: default, deprecated,`},
		{reflect.TypeFor[struct {
			F int `jsonschema:"minimum=one"`
		}](), "minimum=one: want a number"},
		{reflect.TypeFor[struct {
			F int `jsonschema:"minimum=null"`
		}](), "minimum=null: want a number"},
		{reflect.TypeFor[struct {
			F string `jsonschema:"minLength=1.5"`
		}](), "minLength=1.5: want a whole number"},
		{reflect.TypeFor[struct {
			F string `jsonschema:"maxLength=-1"`
		}](), "maxLength=-1: want 0 or more"},
		{reflect.TypeFor[struct {
			F []int `jsonschema:"uniqueItems"`
		}](), "taken for a description"},
		{reflect.TypeFor[struct {
			F []int `jsonschema:"uniqueItems=yes"`
		}](), "want true or false"},
		{reflect.TypeFor[struct {
			F int `jsonschema:"maxLength=5"`
		}](), "maxLength bounds a value of type string, which the field does not hold"},
		{reflect.TypeFor[struct {
			F int8 `jsonschema:"maximum=300"`
		}](), "beyond what the field's Go type holds"},
		{reflect.TypeFor[struct {
			F int `jsonschema:"multipleOf=0"`
		}](), "want a number over 0"},
		{reflect.TypeFor[struct {
			F string `jsonschema:"pattern=^(a"`
		}](), "missing closing )"},
		{reflect.TypeFor[struct {
			F string `jsonschema:"pattern=^a{1,3}$"`
		}](), `"3}$" is no keyword=value; a comma within a value is written \\,`},
		{reflect.TypeFor[struct {
			F string `jsonschema:"format=emial"`
		}](), "there are: date, date-time,"},
		{reflect.TypeFor[struct {
			F int `jsonschema:"maximum=10,default=11"`
		}](), "the value 11 is refused by the field itself"},
		{reflect.TypeFor[struct {
			F int `jsonschema:"default=many"`
		}](), "default=many: want JSON"},
		{reflect.TypeFor[struct {
			F []string `jsonschema:"maxLength=2,enum=long"`
		}](), "the value long is refused"},
		{reflect.TypeFor[struct{ F chan int }](), "field F of struct { F chan int }: type chan int has no JSON"},
		{reflect.TypeFor[map[int]string](), "the keys of a JSON object are strings"},
		{reflect.TypeFor[tree](), "type sdk.tree holds itself"},
		{reflect.TypeFor[list](), "type sdk.list holds itself"},
	} {
		_, err := schemaOf(c.of)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.of, err, c.want)
		}
	}
	run := func(context.Context, tree, Reporter) (int, error) { return 0, nil }
	_, err := NewScripts(Func("grow", run))
	if err == nil || !strings.Contains(err.Error(), `a mistake in the program: task type "grow": its input: field Children of sdk.tree: type sdk.tree holds itself`) {
		t.Errorf("a recursive input: %v", err)
	}
	_, err = Scripts(Func("shrink", func(context.Context, int, Reporter) (chan int, error) { return nil, nil }))(NewConfig("x", nil, nil))
	if err == nil || !strings.Contains(err.Error(), `task type "shrink": its result: type chan int has no JSON`) {
		t.Errorf("a result without JSON: %v", err)
	}
	if _, err = NewScripts(Func[int, int]("nothing", nil)); err == nil || !strings.Contains(err.Error(), "the function is nil") {
		t.Errorf("no function: %v", err)
	}
}

// What a client leaves out has its default when the function is called, also deep within.
func TestDefaultsAreFilledIn(t *testing.T) {
	type input struct {
		Times  int              `json:"times" jsonschema:"default=3"`
		Weight inner            `json:"weight"`
		List   []inner          `json:"list,omitempty"`
		Map    map[string]inner `json:"map,omitempty"`
		Ref    *inner           `json:"ref,omitempty"`
		Big    json.Number      `json:"big,omitempty"`
	}
	e, err := NewScripts(Func("weigh", func(_ context.Context, in input, _ Reporter) (input, error) { return in, nil }))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ input, want string }{
		{`{}`, `{"times":3,"weight":{"unit":"kg","many":0}}`},
		{`{"times":0,"weight":{"unit":"lb","many":1}}`, `{"times":0,"weight":{"unit":"lb","many":1}}`},
		{`{"list":[{"many":1},{"unit":"lb","many":2}],"map":{"a":{"many":3}},"ref":{"many":4},"big":12345678901234567890}`,
			`{"times":3,"weight":{"unit":"kg","many":0},"list":[{"unit":"kg","many":1},{"unit":"lb","many":2}],
				"map":{"a":{"unit":"kg","many":3}},"ref":{"unit":"kg","many":4},"big":12345678901234567890}`},
		{`{"list":null,"ref":null}`, `{"times":3,"weight":{"unit":"kg","many":0}}`},
	} {
		res, err := e.Execute(t.Context(), Task{Type: "weigh", Input: json.RawMessage(c.input)}, NewReporter(ReporterFuncs{}))
		if err != nil || !sameJSON(t, res.Data, c.want) {
			t.Errorf("%s: %s (%v), want %s", c.input, res.Data, err, c.want)
		}
	}
	for _, wrong := range []string{`{"tmies":1}`, `[]`, `7`, `{"times":"many"}`} {
		_, err := e.Execute(t.Context(), Task{Type: "weigh", Input: json.RawMessage(wrong)}, NewReporter(ReporterFuncs{}))
		if o := OutcomeOf(t.Context(), Result{}, err); o.Kind != OutcomeFailed || !o.Permanent {
			t.Errorf("%s: %+v", wrong, o)
		}
	}
}
