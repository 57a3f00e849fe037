package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func mustCompile(t testing.TB, schema string) *validator {
	t.Helper()
	v, err := newValidator("t", json.RawMessage(schema))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// pairsOf are schemas with inputs, by which the two ways of checking are compared.
var pairsOf = []struct {
	schema string
	right  []string
	wrong  []string
}{
	{importSchema, []string{`{"url":"u","tags":null}`, `{"url":"u","tags":["a"],"format":"raw"}`}, []string{`{}`, `{"url":1}`, `{"url":"u","x":1}`, `{"url":"u","tags":["a",1]}`, `7`, `{"url":"u","sha256":"z"}`}},
	{`{"items":{"type":"integer"}}`, []string{`[]`, `[1,2.0]`, `{}`}, []string{`[1,"a"]`, `[1.5]`}},
	{`{"contains":{"type":"string"}}`, []string{`["a"]`, `[` + strings.Repeat(`1,`, 50) + `"a"]`}, []string{`[]`, `[` + strings.Repeat(`1,`, 50) + `1]`}},
	{`{"contains":{"required":["a"]},"maxContains":1}`, []string{`[{"a":1},{}]`}, []string{`[{"a":1},{"a":2}]`}},
	{`{"anyOf":[{"items":{"type":"string"}},{"items":{"properties":{"a":{"type":"number"}}}}]}`,
		[]string{`[` + strings.Repeat(`{"a":1},`, 50) + `{}]`, `["a"]`}, []string{`[` + strings.Repeat(`{"a":1},`, 50) + `{"a":"x"}]`}},
	{`{"$defs":{"e":{"type":"object","required":["v"]}},"oneOf":[{"items":{"$ref":"#/$defs/e"}},{"prefixItems":[{"type":"null"}],"items":{"$ref":"#/$defs/e"}}]}`,
		[]string{`[null,{"v":1}]`, `[{"v":1}]`}, []string{`[1]`, `[null,` + strings.Repeat(`{},`, 50) + `{"v":1}]`, `[]`}},
	{`{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"},"n":{"type":"number"}},"additionalProperties":false}}}`,
		[]string{`{"next":{"next":{"n":1}}}`}, []string{`{"next":{"next":{"n":"x"}}}`, `{"next":{"m":1}}`}},
	{`{"not":{"items":{"type":"string"}}}`, []string{`[1]`}, []string{`["a"]`, `[]`}},
	{`{"if":{"items":{"type":"string"}},"then":{"minItems":2},"else":{"maxItems":1}}`, []string{`["a","b"]`, `[1]`}, []string{`["a"]`, `[1,2]`}},
	{`{"uniqueItems":true,"items":{"enum":[1,2,"a",[1]]}}`, []string{`[1,2,"a",[1.0]]`}, []string{`[1,1.0]`, `[3]`}},
	{`{"propertyNames":{"pattern":"^[a-z]+$"},"patternProperties":{"^n":{"type":"number"}},"additionalProperties":{"type":"string"}}`,
		[]string{`{"n":1,"s":"x"}`}, []string{`{"N":1}`, `{"n":"x"}`, `{"s":1}`}},
	{`{"properties":{"a":true},"unevaluatedProperties":false,"allOf":[{"properties":{"b":{"type":"number"}}}]}`, []string{`{"a":1,"b":2}`}, []string{`{"c":1}`, `{"b":"x"}`}},
	{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"}],"additionalItems":{"type":"number"},"dependencies":{"a":["b"],"c":{"required":["d"]}}}`,
		[]string{`["a",1]`, `{"a":1,"b":2}`}, []string{`[1]`, `["a","b"]`, `{"a":1}`, `{"c":1}`}},
	{`{"type":"number","minimum":-1e400,"multipleOf":0.01}`, []string{`1.25`, `1e400`}, []string{`1.255`, `-1e+400.`, `"1"`}},
	{`{"type":"string","format":"date-time","maxLength":40}`, []string{`"2026-11-23T12:00:00Z"`}, []string{`"x"`}},
	{`true`, []string{`1`}, nil},
	{`false`, nil, []string{`1`}},
	{`{"items":false}`, []string{`[]`}, []string{`[1]`}},
}

// A guarded check finds right and wrong what the library does without, and names
// what is wrong.
func TestGuardedCheckAgrees(t *testing.T) {
	for _, c := range pairsOf {
		v := mustCompile(t, c.schema)
		guarded := mustCompile(t, c.schema)
		guarded.weight = endless
		for i, input := range append(c.right, c.wrong...) {
			want := i < len(c.right)
			for name, v := range map[string]*validator{"plain": v, "guarded": guarded} {
				err := v.check(t.Context(), t.Context(), "t", json.RawMessage(input), nil)
				var te *task.Error
				if want != (err == nil) || err != nil && (!errors.As(err, &te) || te.Code != task.CodeInvalidInput || len(te.Fields) == 0) {
					t.Errorf("%s: %.60s against %.60s: %v, want right: %v", name, input, c.schema, err, want)
				}
			}
		}
	}
}

// FuzzGuardedCheck: whatever schema is taken and whatever input comes, the verdict
// with a guard is the library's own, and the faults are bounded.
func FuzzGuardedCheck(f *testing.F) {
	for _, c := range pairsOf {
		for _, input := range append(c.right, c.wrong...) {
			f.Add([]byte(c.schema), []byte(input))
		}
	}
	f.Fuzz(func(t *testing.T, schema, input []byte) {
		v, err := newValidator("t", schema)
		if err != nil || v == nil || !json.Valid(input) || len(input) > 4096 || v.weight*int64(len(input)) > 100*maxUnguarded {
			return
		}
		guarded := &validator{doc: v.doc, schema: v.schema, weight: endless, guards: make(chan *guard, 1)}
		v.weight = 0
		plain := v.check(t.Context(), t.Context(), "t", input, nil)
		err = guarded.check(t.Context(), t.Context(), "t", input, nil)
		if (plain == nil) != (err == nil) {
			t.Fatalf("plain: %v; guarded: %v", plain, err)
		}
		var te *task.Error
		if err != nil && (!errors.As(err, &te) || len(te.Fields) == 0 || len(te.Fields) > maxFaults) {
			t.Fatalf("%+v", err)
		}
	})
}

// An answer tells 20 faults, briefly, and finding them takes little memory.
func TestFaultsAreBounded(t *testing.T) {
	list := func(element string, n int) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	nested := list(list(list(list(`7`, 20), 20), 20), 3)
	deep := strings.Repeat(`{"a":7,"b":7,"next":`, 150) + `{}` + strings.Repeat(`}`, 150)
	long := strings.Repeat("n", 100_000)
	for _, c := range []struct{ name, schema, input string }{
		{"elements", `{"items":{"type":"string"}}`, list("7", 50_000)},
		{"objects", `{"items":{"type":"object","properties":{"a":{"type":"string"}}}}`, list(`{"a":1}`, 10_000)},
		{"nested", `{"$defs":{"l":{"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#/$defs/l"}}]}},"$ref":"#/$defs/l"}`, nested},
		{"deep", `{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"a":{"type":"string"},"b":{"type":"string"},"next":{"$ref":"#/$defs/n"}}}}}`, deep},
		{"unknown properties", `{"additionalProperties":false}`, `{"` + strings.Join(strings.Split(strings.Repeat("x ", 5000), " "), `":1,"y`) + `":1}`},
		{"properties", `{"additionalProperties":{"type":"string"}}`, func() string {
			var b strings.Builder
			for i := range 10_000 {
				fmt.Fprintf(&b, `,"k%d":1`, i)
			}
			return "{" + b.String()[1:] + "}"
		}()},
		{"long names", `{"additionalProperties":{"type":"string"}}`, `{"` + long + `":{"` + long + `":1}}`},
		{"a long text", `{"pattern":"^a+$"}`, `"` + long + `"`},
		{"a long enum", `{"enum":["` + strings.Join(strings.Split(strings.Repeat("x ", 9000), " "), `","y`) + `"]}`, `7`},
		{"no element is contained", `{"contains":{"type":"string"}}`, list("7", 50_000)},
	} {
		v := mustCompile(t, c.schema)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := v.check(t.Context(), t.Context(), "t", json.RawMessage(c.input), nil)
		runtime.ReadMemStats(&after)
		var te *task.Error
		if !errors.As(err, &te) || te.Code != task.CodeInvalidInput {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		size := len(te.Message)
		for _, f := range te.Fields {
			size += len(f.Place()) + len(f.Message)
			if !strings.HasPrefix(f.Place(), "/input") {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		if len(te.Fields) == 0 || len(te.Fields) > maxFaults || size > 40_000 {
			t.Errorf("%s: %d faults in %d bytes", c.name, len(te.Fields), size)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(2<<20+2500*len(c.input)) {
			t.Errorf("%s: %d MB are allocated to check %d KB", c.name, used>>20, len(c.input)>>10)
		}
	}
}

// Faults name their place also where an input is large.
func TestFaultsOfALargeInput(t *testing.T) {
	v := mustCompile(t, `{"type":"object","properties":{"list":{"items":{"properties":{"a":{"type":"string"}}}}}}`)
	input := `{"list":[` + strings.Repeat(`{"a":"x"},`, 10_000) + `{"a":1},{"a":"y"},{"a":null}]}`
	err := v.check(t.Context(), t.Context(), "t", json.RawMessage(input), nil)
	var te *task.Error
	if !errors.As(err, &te) || len(te.Fields) != 2 || te.Fields[0].Place() != "/input/list/10000/a" || te.Fields[1].Place() != "/input/list/10002/a" {
		t.Errorf("%+v", err)
	}
}

// What would take too long is refused before it is done.
func TestCheckIsBoundedWork(t *testing.T) {
	branch := `{"properties":{"a":{"$ref":"#/$defs/n"}}}`
	for _, c := range []struct{ name, schema, input string }{
		{"branches that double with each step into the input", `{"$ref":"#/$defs/n","$defs":{"n":{"allOf":[` + branch + `,` + branch + `]}}}`,
			strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100)},
		{"a pattern against a long text", `{"pattern":"x.{0,900}z"}`, `"` + strings.Repeat("x", 1_000_000) + `"`},
	} {
		v := mustCompile(t, c.schema)
		err := v.check(t.Context(), t.Context(), "t", json.RawMessage(c.input), nil)
		if task.CodeOf(err) != task.CodeInvalidInput || !strings.Contains(err.Error(), "takes more work") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestInputsThatAreNoJSON(t *testing.T) {
	for _, v := range []*validator{nil, mustCompile(t, `{}`)} {
		for input, want := range map[string]string{
			``: "", `1`: "", `{"a":[1,2.5e3]}`: "", `{`: "not JSON", `1 2`: "not JSON", `1e-999999`: "exponent", `1e2000000`: "exponent",
			strings.Repeat("7", 100_000): "100000 bytes", strings.Repeat("[", 5000) + strings.Repeat("]", 5000): "deeper",
		} {
			err := v.check(t.Context(), t.Context(), "t", json.RawMessage(input), nil)
			if want == "" && err != nil || want != "" && (task.CodeOf(err) != task.CodeInvalidInput || !strings.Contains(err.Error(), want)) {
				t.Errorf("%.20s: %v, want %q", input, err, want)
			}
		}
	}
}

func TestSchemaBounds(t *testing.T) {
	many := func(n int, each string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"p%d":`+each, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	doubling := func(keyword string) string {
		var b strings.Builder
		for i := range 20 {
			fmt.Fprintf(&b, `"d%d":{"%s":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, keyword, i+1, i+1)
		}
		return `{"$ref":"#/$defs/d0","$defs":{` + b.String() + `"d20":{"type":"string"}}}`
	}
	chain := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"d%d":{"$ref":"#/$defs/d%d"},`, i, i+1)
		}
		return `{"$ref":"#/$defs/d0","$defs":{` + b.String() + fmt.Sprintf(`"d%d":{}}}`, n)
	}
	for _, c := range []struct{ name, schema, want string }{
		{"no JSON", `{`, "not JSON"},
		{"no schema", `{"type":"strnig"}`, "/type"},
		{"large", `{"description":"` + strings.Repeat("x", 300_000) + `"}`, "at most 262144 are taken"},
		{"deep", strings.Repeat(`{"items":`, 5000) + `{}` + strings.Repeat(`}`, 5000), "deeper than"},
		{"a little too deep", strings.Repeat(`{"items":`, 101) + `{}` + strings.Repeat(`}`, 101), "/items/items"},
		{"many properties", `{"properties":` + many(4001, `{}`) + `}`, "more than 4000 objects"},
		{"a long enum", `{"enum":[` + strings.Repeat("1,", 10_000) + `2]}`, "more than 10000 values"},
		{"many references", `{"properties":` + many(301, `{"$ref":"#"}`) + `}`, "more than 300 references"},
		{"another document", `{"$ref":"https://example.org/schema.json"}`, "may not refer to"},
		{"a reference that leads nowhere", `{"$ref":"#/$defs/x"}`, "$defs/x"},
		{"itself", `{"$ref":"#"}`, "refers to itself"},
		{"itself, around a corner", `{"properties":{"a":{"anyOf":[{"type":"null"},{"$ref":"#/properties/a"}]}}}`, "/properties/a"},
		{"doubling with allOf", doubling("allOf"), "references followed"},
		{"doubling with anyOf", doubling("anyOf"), "at /$defs/"},
		{"a chain", chain(60), "more than 50 schemas"},
		{"dynamic references", `{"$dynamicAnchor":"a","items":{"$dynamicRef":"#a"}}`, "$dynamicRef"},
		{"a long pattern", `{"pattern":"` + strings.Repeat("x", 1001) + `"}`, "at most 1000 are taken"},
		{"a pattern that grows", `{"pattern":"(a{30}b{30}){32}"}`, "at most 2000 are taken"},
		{"a pattern of property names that grows", `{"patternProperties":{"(a{1,30}b{30}){32}":{}}}`, "at most 2000 are taken"},
		{"patterns that grow together", `{"properties":` + many(30, `{"pattern":"a{999}"}`) + `}`, "instructions together"},
		{"no pattern", `{"pattern":"("}`, "missing closing )"},
		{"a number", `{"minimum":1e-999999}`, "exponent"},
		{"a long number", `{"const":` + strings.Repeat("7", 100_000) + `}`, "100000 bytes"},
		{"a fault in many places", `{"properties":` + many(3000, `{"type":7}`) + `}`, "at /properties/p"},
	} {
		v, err := newValidator("bad", json.RawMessage(c.schema))
		if err == nil || v != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"bad"`) || len(err.Error()) > maxSchemaError+100 {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := checkResultSchema("bad", json.RawMessage(`{`)); err == nil || !strings.Contains(err.Error(), "result schema") {
		t.Errorf("a result schema that is no JSON: %v", err)
	}
	if newOffer(sdk.Info{Types: []sdk.TypeInfo{{Name: "bad", Result: json.RawMessage(`{`)}}}, true, nil).has("bad") {
		t.Error("a result schema that is no JSON is offered, and shown to everybody")
	}
	for name, schema := range map[string]string{
		"of a Go type": importSchema, "recursive": `{"properties":{"a":{"$ref":"#"},"b":{"items":{"$ref":"#"}}}}`,
		"wide": `{"properties":` + many(3000, `{"type":"string"}`) + `}`, "a chain": chain(40), "draft 7 itself": `{"$ref":"http://json-schema.org/draft-07/schema#"}`,
		"patterns": `{"properties":{"a":{"pattern":"^\\p{L}[\\p{L}0-9 -]{0,200}$"},"b":{"pattern":"^[0-9a-f]{64}$"}}}`,
		"deep":     strings.Repeat(`{"items":`, 90) + `{}` + strings.Repeat(`}`, 90),
	} {
		if _, err := newValidator("good", json.RawMessage(schema)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// busy has the validator's guards all be in use, so that a check waits.
func (v *validator) busy() { v.made.Store(int64(cap(v.guards))) }

func TestCheckEndsWithItsClient(t *testing.T) {
	big := json.RawMessage("[" + strings.Repeat("1,", 200_000) + "1]")
	live := t.Context()
	gone, cancel := context.WithCancel(live)
	cancel()
	for name, wait := range map[string]bool{"while it runs": false, "while it waits": true} {
		v := mustCompile(t, `{"items":{"type":"number"}}`)
		if wait {
			v.busy()
		}
		for who, at := range map[string][2]context.Context{"client": {gone, live}, "host": {live, gone}} {
			if err := v.check(at[0], at[1], "t", big, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("%s is gone %s: %v", who, name, err)
			}
		}
	}
}

// What the SDK derives of a Go type and its tags is a schema that is taken, and each of its bounds
// holds; each format that a tag may name is checked.
func TestDerivedSchemaBounds(t *testing.T) {
	type formats struct {
		A string `json:"a" jsonschema:"format=date"`
		B string `json:"b" jsonschema:"format=date-time"`
		C string `json:"c" jsonschema:"format=duration"`
		D string `json:"d" jsonschema:"format=email"`
		E string `json:"e" jsonschema:"format=hostname"`
		F string `json:"f" jsonschema:"format=ipv4"`
		G string `json:"g" jsonschema:"format=ipv6"`
		H string `json:"h" jsonschema:"format=iri"`
		I string `json:"i" jsonschema:"format=iri-reference"`
		J string `json:"j" jsonschema:"format=json-pointer"`
		K string `json:"k" jsonschema:"format=period"`
		L string `json:"l" jsonschema:"format=relative-json-pointer"`
		M string `json:"m" jsonschema:"format=semver"`
		N string `json:"n" jsonschema:"format=time"`
		O string `json:"o" jsonschema:"format=uri"`
		P string `json:"p" jsonschema:"format=uri-reference"`
		Q string `json:"q" jsonschema:"format=uri-template"`
		R string `json:"r" jsonschema:"format=uuid"`
	}
	type bounded struct {
		Name  string           `json:"name" jsonschema:"minLength=2,maxLength=4,pattern=^[a-z]{1\\,9}$"`
		Count int              `json:"count" jsonschema:"minimum=1,maximum=9,multipleOf=2,default=2"`
		Ratio float64          `json:"ratio,omitempty" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1"`
		Tone  string           `json:"tone,omitempty" jsonschema:"enum=warm,enum=cold"`
		Tags  []string         `json:"tags,omitempty" jsonschema:"minItems=1,maxItems=2,uniqueItems=true,maxLength=3"`
		Parts map[string]int   `json:"parts,omitempty" jsonschema:"minProperties=1,maxProperties=2,minimum=0"`
		Data  []byte           `json:"data,omitempty"`
		Any   *json.RawMessage `json:"any,omitempty"`
	}
	schema := func(s sdk.Script) *validator {
		t.Helper()
		if _, err := sdk.NewScripts(s); err != nil {
			t.Fatal(err)
		}
		v, err := newValidator(s.Name, s.Input)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := schema(sdk.Func("formats", func(context.Context, formats, sdk.Reporter) (int, error) { return 0, nil }))
	wrong := map[string]string{}
	for c := 'a'; c <= 'r'; c++ {
		wrong[string(c)] = "%\x01:{" // none of them all
	}
	input, err := json.Marshal(wrong)
	if err != nil {
		t.Fatal(err)
	}
	var e *task.Error
	if err := v.check(t.Context(), t.Context(), "formats", input, nil); !errors.As(err, &e) || len(e.Fields) != len(wrong) {
		t.Errorf("not every format is checked: %+v", e)
	}
	v = schema(sdk.Func("bounded", func(context.Context, bounded, sdk.Reporter) (int, error) { return 0, nil }))
	for _, c := range []struct {
		input string
		at    string // "" where it is right
	}{
		{`{"name":"ab"}`, ""},
		{`{"name":"abcd","count":8,"ratio":0.5,"tone":"cold","tags":["a"],"parts":{"p":0},"data":"aGk=","any":{"x":[1]}}`, ""},
		{`{}`, "input"},
		{`{"name":"a"}`, "input.name"}, {`{"name":"abcde"}`, "input.name"}, {`{"name":"AB"}`, "input.name"},
		{`{"name":"ab","count":0}`, "input.count"}, {`{"name":"ab","count":10}`, "input.count"}, {`{"name":"ab","count":3}`, "input.count"},
		{`{"name":"ab","ratio":0}`, "input.ratio"}, {`{"name":"ab","ratio":1}`, "input.ratio"},
		{`{"name":"ab","tone":"hot"}`, "input.tone"},
		{`{"name":"ab","tags":[]}`, "input.tags"}, {`{"name":"ab","tags":null}`, "input.tags"}, {`{"name":"ab","tags":["a","b","c"]}`, "input.tags"},
		{`{"name":"ab","tags":["a","a"]}`, "input.tags"}, {`{"name":"ab","tags":["long"]}`, "input.tags.0"},
		{`{"name":"ab","parts":{}}`, "input.parts"}, {`{"name":"ab","parts":{"a":1,"b":1,"c":1}}`, "input.parts"},
		{`{"name":"ab","parts":{"a":-1}}`, "input.parts.a"},
		{`{"name":"ab","data":[104]}`, "input.data"},
	} {
		var e *task.Error
		err := v.check(t.Context(), t.Context(), "bounded", json.RawMessage(c.input), nil)
		switch {
		case c.at == "" && err == nil:
		case c.at == "" || !errors.As(err, &e) || strings.Join(e.Fields[0].Path, ".") != c.at:
			t.Errorf("%s: %v, want a fault at %q", c.input, err, c.at)
		}
	}
}
