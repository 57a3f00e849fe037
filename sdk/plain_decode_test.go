package sdk

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type plainInput struct {
	URL    string `json:"url"`
	Size   int64  `json:"size,omitempty"`
	Small  int8
	Ratio  float32  `json:"ratio"`
	Exact  float64  `json:"exact"`
	On     bool     `json:"on"`
	Tags   []string `json:"tags"`
	Next   *plainPart
	Parts  []plainPart     `json:"parts"`
	Any    json.RawMessage `json:"any"`
	At     time.Time       `json:"at"`
	Number json.Number     `json:"number"`
	Bytes  []byte          `json:"bytes"`
	Hidden string          `json:"-"`
}

type plainPart struct {
	Name string  `json:"name"`
	Rows [][]int `json:"rows"`
}

// What is read at a glance, and what must be left to encoding/json.
func TestPlainDecode(t *testing.T) {
	whole := plainInput{URL: "ä b", Size: -7, Small: 127, Ratio: 0.5, Exact: 1e3, On: true, Tags: []string{"a", "b"}, Next: &plainPart{Name: "n", Rows: [][]int{{1, 2}, {}}},
		Parts: []plainPart{{}, {Name: "p"}}}
	for input, want := range map[string]*plainInput{
		" {\"url\" : \"ä b\",\r\n\t\"size\":-7,\"Small\":127,\"ratio\":0.5,\"exact\":1000.0,\"on\":true,\"tags\":[\"a\" , \"b\"],\"Next\":{\"name\":\"n\",\"rows\":[[1,2],[]]},\"parts\":[{},{\"name\":\"p\"}]} ": &whole,
		`{}`:                            {},
		`{"on":false,"tags":[]}`:        {Tags: []string{}},
		`{"exact":-0.25,"size":-0}`:     {Exact: -0.25},
		`{"exact":-0}`:                  {Exact: math.Copysign(0, -1)},
		`null`:                          nil,
		`{"url":null}`:                  nil,
		`{"url":"a\n"}`:                 nil,
		"{\"url\":\"a\n\"}":             nil,
		"{\"url\":\"\xff\"}":            nil,
		`{"URL":"a"}`:                   nil, // encoding/json takes it
		`{"url":"a","url":"b"}`:         nil,
		`{"other":1}`:                   nil,
		`{"Hidden":"a"}`:                nil,
		`{"hidden":"a"}`:                nil,
		`{"any":1}`:                     nil,
		`{"at":"2026-11-26T12:00:00Z"}`: nil,
		`{"number":"1"}`:                nil,
		`{"bytes":"YQ=="}`:              nil,
		`{"Small":128}`:                 nil,
		`{"size":01}`:                   nil,
		`{"size":+1}`:                   nil,
		`{"size":1.0}`:                  nil,
		`{"size":1e3}`:                  nil,
		`{"size":"1"}`:                  nil,
		`{"size":-}`:                    nil,
		`{"exact":1.}`:                  nil,
		`{"exact":.5}`:                  nil,
		`{"on":True}`:                   nil,
		`{"on":truer}`:                  nil,
		`{"tags":["a",]}`:               nil,
		`{"tags":["a" "b"]}`:            nil,
		`{"tags":[`:                     nil,
		`{"tags":{}}`:                   nil,
		`{"size":1,}`:                   nil,
		`{"size":1 "on":true}`:          nil,
		`{,"size":1}`:                   nil,
		`{"size":1`:                     nil,
		`{"size"`:                       nil,
		`{"siz`:                         nil,
		`{} {}`:                         nil,
		`[]`:                            nil,
		``:                              nil,
	} {
		got, ok := plainDecoded[plainInput](t, input)
		if ok != (want != nil) || ok && !reflect.DeepEqual(got, *want) {
			t.Errorf("%s is read as %+v, %v, want %+v", input, got, ok, want)
		}
	}
}

// Types that encoding/json reads by more than their kinds and the names of their fields.
func TestPlainTypes(t *testing.T) {
	type embeds struct{ plainPart }
	type quoted struct {
		N int `json:"n,string"`
	}
	type twice struct {
		A int `json:"b"`
		B int
		C int `json:"B"`
	}
	type odd struct {
		A int `json:"a.b"`
	}
	type itself struct{ Kids []itself }
	type one struct{ One *one }
	for _, v := range []any{embeds{}, quoted{}, twice{}, odd{}, time.Time{}, json.RawMessage{}, json.Number(""), []byte{}, [2]int{}, map[string]int{}, uint(1), 1i, new(any)} {
		if newPlainType(reflect.TypeOf(v)) != nil {
			t.Errorf("%T is plain", v)
		}
	}
	for _, v := range []any{plainInput{}, "", 1, []int{}, new(string), itself{}, one{}} {
		if newPlainType(reflect.TypeOf(v)) == nil {
			t.Errorf("%T is not plain", v)
		}
	}
	if newPlainType(reflect.TypeFor[itself]()).fields["Kids"].plainType != nil {
		t.Error("a type is plain within itself: one that has itself in many fields would be without bounds")
	}
}

// plainDecoded is an input as it is read at a glance, if it is; encoding/json must read the same.
func plainDecoded[T any](t *testing.T, input string) (got T, ok bool) {
	t.Helper()
	if !newPlainType(reflect.TypeFor[T]()).decode([]byte(input), reflect.ValueOf(&got).Elem()) {
		return got, false
	}
	var want T
	if err := decodeStrict([]byte(input), &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%q is read at a glance as %+v, by encoding/json as %+v: %v", input, got, want, err)
	}
	return got, true
}

func FuzzPlainDecode(f *testing.F) {
	for _, input := range []string{
		`{"url":"a","size":-7,"Small":127,"ratio":0.1,"exact":1000.25,"on":true,"tags":["a"],"Next":{"name":"n","rows":[[1,2],[]]},"parts":[{}]}`,
		`{"url":"ü\u0061","ratio":1e400,"any":[1],"bytes":"YQ==","number":1,"at":null}`, `{"URL":"a","url":"b"}`, `[[1.5],[-0]]`, `"a"`, `-1`, `true`, `[]`, `{`, `{"Kids":[{"Kids":[]}]}`,
	} {
		f.Add(input)
	}
	type itself struct{ Kids []itself }
	f.Fuzz(func(t *testing.T, input string) {
		plainDecoded[plainInput](t, input)
		plainDecoded[[][]float64](t, input)
		plainDecoded[*string](t, input)
		plainDecoded[int16](t, input)
		plainDecoded[bool](t, input)
		plainDecoded[itself](t, input)
	})
}

// A function gets what encoding/json reads, whether or not some was read before at a glance, and
// its attempt.
func TestFuncDecodes(t *testing.T) {
	type input struct {
		Tags []string `json:"tags,omitempty"`
		Name string   `json:"name,omitempty"`
		Size int      `json:"size,omitempty" jsonschema:"default=7"`
	}
	var got input
	s := Func("t", func(ctx context.Context, in input, _ Reporter) (any, error) {
		got = in
		if of, ok := TaskFrom(ctx); !ok || of.Attempt != 3 || ctx.Value(plainKey{}) != "v" {
			t.Errorf("the attempt is %+v, %v", of, ok)
		}
		return nil, nil
	})
	for text, want := range map[string]input{
		`{"tags":["a"],"name":"b","size":1}`: {[]string{"a"}, "b", 1}, `{"tags":["a","b"],"name":"\u0062"}`: {[]string{"a", "b"}, "b", 7}, `{"tags":["a"],"tags":null}`: {nil, "", 7}, `{"name":"a","size":2,"NAME":"b"}`: {nil, "a", 2},
	} {
		res, err := s.Run(context.WithValue(t.Context(), plainKey{}, "v"), Task{Type: "t", Attempt: 3, Input: json.RawMessage(text)}, nil)
		if err != nil || !reflect.DeepEqual(got, want) || string(res.Data) != "null" || res.ContentType != ContentJSON {
			t.Errorf("%s is %+v with result %+v, want %+v: %v", text, got, res, want, err)
		}
	}
	_, err := s.Run(t.Context(), Task{Type: "t", Input: json.RawMessage(`{"other":1}`)}, nil)
	if err == nil || !strings.Contains(err.Error(), `input of task type "t": json: unknown field "other"`) {
		t.Error(err)
	}
}

type plainKey struct{}

func BenchmarkFuncDecode(b *testing.B) {
	type input struct {
		URL    string   `json:"url"`
		Format string   `json:"format"`
		Size   int64    `json:"size,omitempty"`
		Tags   []string `json:"tags,omitempty"`
	}
	s := Func("t", func(context.Context, input, Reporter) (any, error) { return nil, nil })
	t := Task{Type: "t", Input: json.RawMessage(`{"url":"https://images.example.org/a.qcow2","format":"qcow2","size":1073741824,"tags":["a","b"]}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Run(b.Context(), t, nil); err != nil {
			b.Fatal(err)
		}
	}
}
