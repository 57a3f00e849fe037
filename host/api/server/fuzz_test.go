package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// FuzzSubmit: whatever comes, the decoder ends, refuses with pointers, or reads
// what the standard decoder reads.
func FuzzSubmit(f *testing.F) {
	for _, s := range []string{
		`{"type":"a"}`, `{"type":"a","input":{"x":[1,"}"]},"labels":{"k":"v"},"timeout":"1s","retain":5}`, `{"type":"a","type":"b"}`,
		` { "type" : "\u0061\"" , "input" : [ ] , "priority" : -3 } `, `{"tasks":[{"type":"a"},{}]}`, `[]`, `{"":1}`, `{"a/b~":{}}`, `"x"`, `{"max_lost":0,"run_at":"x"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkJSON(body) != nil {
			return
		}
		var bad faults
		spec := decodeSpec(body, nil, &bad)
		if err := bad.err(); err != nil {
			if task.CodeOf(err) != task.CodeInvalidRequest || len(bad) > maxFieldErrors {
				t.Fatalf("%v with %d fields", err, len(bad))
			}
			_, _, _ = decodeBatch(body)
			return
		}
		var std map[string]json.RawMessage
		if err := json.Unmarshal(body, &std); err != nil {
			t.Fatalf("accepted what is no object: %v", err)
		}
		var typ, key string
		_ = json.Unmarshal(std["type"], &typ)
		_ = json.Unmarshal(std["key"], &key)
		if typ == "" || spec.Type != typ || spec.Key != key {
			t.Fatalf("read type %q and key %q, the standard decoder %q and %q", spec.Type, spec.Key, typ, key)
		}
		if input := bytes.TrimSpace(std["input"]); !bytes.Equal(bytes.TrimSpace(spec.Input), input) && (spec.Input != nil || !isNull(input)) {
			t.Fatalf("input %s, the standard decoder reads %s", spec.Input, std["input"])
		}
		batch := append(append([]byte(`{"tasks":[`), body...), `,{"type":"z"}]}`...)
		specs, _, err := decodeBatch(batch)
		if err != nil || len(specs) != 2 || specs[0].Type != spec.Type || specs[1].Type != "z" {
			t.Fatalf("in a batch: %v %+v", err, specs)
		}
	})
}

// FuzzPlainSpec: what is read at a glance is what the decoder reads, and has nothing that it refuses.
func FuzzPlainSpec(f *testing.F) {
	for body := range plainBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var plain task.Spec
		if !plainSpec(body, &plain) {
			return
		}
		if err := checkJSON(body); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var bad faults
		if whole := decodeSpec(body, nil, &bad); bad.err() != nil || !reflect.DeepEqual(plain, whole) {
			t.Fatalf("%s is read as %+v, the decoder reads %+v: %v", body, plain, whole, bad.err())
		}
	})
}

// plainBodies are bodies, and whether they are read at a glance.
var plainBodies = map[string]bool{
	`{"type":"a"}`: true, `{"type":"a","input":null}`: true, ` { "input" : {"x":[1,"}",{}]} , "type" : "a b" } `: true, `{"type":"a","input":"\u00e9é"}`: true,
	`{"type":"a","input":-1.5e3}`: true, "{\"type\":\"a\",\"input\":[\n1\t,true]\r}": true,
	"": false, `{`: false, `{}`: false, `{"input":1}`: false, `{"type":"a"`: false, `{"type":"a",`: false, `{"type":"a",}`: false, `{"type":"a"}}`: false, `{"type":"a"} x`: false,
	`{"type":"a" "input":1}`: false, `{"type" "a"}`: false, `{"type":}`: false, `{"type":"a","input":}`: false, `{"type":""}`: false, `{"type":"`: false, `{"type":1}`: false,
	`{"type":null}`: false, `{"type":"é"}`: false, `{"type":"\u0061"}`: false, "{\"type\":\"a\nb\"}": false, `{"type":"a","type":"a"}`: false, `{"type":"a","input":1,"input":1}`: false,
	`{"type":"a","key":"k"}`: false, `{"Type":"a"}`: false, `{"ty\u0070e":"a"}`: false, `[{"type":"a"}]`: false, `"type"`: false,
	`{"type":"a","input":nul}`: false, `{"type":"a","input":[}`: false, `{"type":"a","input":[1}]}`: false, `{"type":"a","input":01}`: false, `{"type":"a","input":1e99999}`: false,
	"{\"type\":\"a\",\"input\":\"\xff\"}": false,
	`{"type":"a","input":` + strings.Repeat("[", task.MaxJSONDepth-1) + strings.Repeat("]", task.MaxJSONDepth-1) + `}`: true,
	`{"type":"a","input":` + strings.Repeat("[", task.MaxJSONDepth) + strings.Repeat("]", task.MaxJSONDepth) + `}`:     false,
}

func TestPlainSpec(t *testing.T) {
	for body, want := range plainBodies {
		if got := plainSpec([]byte(body), new(task.Spec)); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}

// FuzzListQuery: the query parser ends, and what it accepts comes back the same
// from the query that a client makes of it.
func FuzzListQuery(f *testing.F) {
	for _, s := range []string{"", "state=failed&state=pending&type=a&type=b", "label=a%3Db&label=c%3D", "created_after=2026-01-01T00:00:00.5Z&order=asc", "limit=5&cursor=01990f4e-7f3a-7c55-a1b2-0123456789ab", "%zz", "limit=1e3", "label=%3D"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		parse := func(raw string) (task.Filter, error) {
			q := newQuery(&http.Request{URL: &url.URL{RawQuery: raw}})
			return q.filter(), q.err()
		}
		a, err := parse(raw)
		if err != nil {
			if task.CodeOf(err) != task.CodeInvalidRequest {
				t.Fatal(err)
			}
			return
		}
		b, err := parse(api.ListQuery(a).Encode())
		if err != nil {
			t.Fatalf("%q was accepted, its equal is not: %v", raw, err)
		}
		if x, y := dump(t, a), dump(t, b); x != y {
			t.Fatalf("%s\n%s", x, y)
		}
	})
}

func dump(t *testing.T, f task.Filter) string {
	t.Helper()
	if len(f.Types) == 0 {
		f.Types = nil
	}
	if f.CreatedAfter.Year() > 9999 || f.CreatedBefore.Year() > 9999 {
		t.Skip("beyond RFC 3339")
	}
	f.CreatedAfter, f.CreatedBefore = f.CreatedAfter.Round(time.Nanosecond), f.CreatedBefore.Round(time.Nanosecond)
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPreferences(t *testing.T) {
	for header, want := range map[string]string{
		"wait=5": "5s", "respond-async, WAIT = 7": "7s", `wait="8"; foo`: "8s", "wait=-1": "", "wait": "", "": "", "x=1,wait=0": "0s",
	} {
		d, ok := preferredWait(&http.Request{Header: http.Header{"Prefer": {header}}})
		if got := d.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s %v, want %q", header, got, ok, want)
		}
	}
}

func TestAccepts(t *testing.T) {
	for header, want := range map[string]bool{
		"": true, "*/*": true, "text/event-stream": true, "application/json": false, "text/*;q=0.5, application/json": true,
		"text/event-stream;q=0": false, "garbage;;": true,
	} {
		if got := accepts(&http.Request{Header: http.Header{"Accept": {header}}}, "text/event-stream"); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}
