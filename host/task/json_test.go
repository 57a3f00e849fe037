package task_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

func TestBoundJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ name, data, want string }{
		{"nothing", ``, ""},
		{"plain numbers", `[0, -1, 1.5, 1e308, 5e-324, 1E+400, -1.5e-400]`, ""},
		{"a thousand digits", strings.Repeat("7", 1000), ""},
		{"a large number in a string", `{"1e999999": "1e-999999 \" 1e999999"}`, ""},
		{"as deep as may be", deep(200), ""},
		{"brackets in a string", `"` + strings.Repeat("[", 1000) + `"`, ""},
		{"wide, not deep", `[` + strings.Repeat(`[],`, 1000) + `[]]`, ""},
		{"no number", `1e`, ""},
		{"a digit too many", `[` + strings.Repeat("7", 1001) + `]`, "at byte 2"},
		{"tiny", `{"a":1e-999999}`, "exponent is not between -400 and 400, at byte 6"},
		{"huge", `1e2000000`, "at byte 1"},
		{"an exponent beyond all integers", `1e99999999999999999999`, "exponent"},
		{"a positive exponent", `1E+401`, "exponent"},
		{"too deep", deep(201), "deeper than 200"},
		{"too deep in turns", strings.Repeat(`{"a":[`, 101), "deeper than 200"},
	} {
		err := task.BoundJSON([]byte(c.data))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// What passes is shallow, and every number in it can be computed with exactly.
func FuzzBoundJSON(f *testing.F) {
	for _, s := range []string{`[1e-999999]`, `{"a\"":[1,{"b":-0.5E+7}]}`, `1e`, `"`, `\`, `-`, `]]]`, strings.Repeat("[", 300)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if task.BoundJSON(data) != nil || !json.Valid(data) {
			return
		}
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.UseNumber()
		for depth := 0; ; {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			switch v := tok.(type) {
			case json.Delim:
				if v == '[' || v == '{' {
					depth++
				} else {
					depth--
				}
				if depth > task.MaxJSONDepth {
					t.Fatalf("%d deep: %q", depth, data)
				}
			case json.Number:
				r, ok := new(big.Rat).SetString(v.String())
				if !ok || r.Num().BitLen() > 5000 || r.Denom().BitLen() > 5000 {
					t.Fatalf("%s passes", v)
				}
			}
		}
	})
}

func TestIsJSON(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/vnd.x+json": true, "image/svg+xml": false, "text/plain": false, "": false,
		"application/json5": false, "text/plain; x=+json": false,
	} {
		if got := task.IsJSON(kind); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
}
