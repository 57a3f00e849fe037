package registry

import (
	"encoding/json"
	"strings"
	"testing"
)

// importSchema is of the kind that the SDK derives of a Go type.
const importSchema = `{"type":"object","additionalProperties":false,"required":["url"],"properties":{
	"url":{"type":"string","description":"where from"},"sha256":{"type":"string","pattern":"^[0-9a-f]{64}$"},
	"format":{"type":"string","enum":["auto","raw","qcow2","vmdk"]},"size":{"type":"integer","minimum":0},
	"tags":{"type":["null","array"],"items":{"type":"string"}},"allow_any":{"type":"boolean"}}}`

// BenchmarkCheck is what checking an input adds to a submit.
func BenchmarkCheck(b *testing.B) {
	for _, c := range []struct{ name, schema, input string }{
		{"object", importSchema, `{"url":"https://images.example.org/a.qcow2","format":"qcow2","size":1073741824,"tags":["a","b"]}`},
		{"numbers100", `{"type":"array","items":{"type":"number"}}`, "[" + strings.TrimSuffix(strings.Repeat("3.25,", 100), ",") + "]"},
		{"objects10k", `{"type":"array","items":` + importSchema + `}`, "[" + strings.TrimSuffix(strings.Repeat(`{"url":"https://images.example.org/a.qcow2","size":1073741824},`, 10_000), ",") + "]"},
		{"numbers200k", `{"type":"array","items":{"type":"number"}}`, "[" + strings.TrimSuffix(strings.Repeat("3.25,", 200_000), ",") + "]"},
		{"wrong", importSchema, `{"url":7,"format":"qcow","size":-1,"tags":["a",1]}`},
		{"wrong450k", `{"type":"array","items":{"type":"string"}}`, "[" + strings.TrimSuffix(strings.Repeat("7,", 450_000), ",") + "]"},
	} {
		v, err := newValidator("t", json.RawMessage(c.schema))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = v.check(b.Context(), b.Context(), "t", json.RawMessage(c.input), nil)
			}
		})
	}
}
