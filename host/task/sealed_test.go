package task

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What is sealed is found where it stands, and shown masked; all else stays byte for byte.
func TestSealedParts(t *testing.T) {
	for _, c := range []struct{ input, shown, paths string }{
		{`{"a": "taskhost-sealed:1:x:y" , "b":[1, "taskhost-sealed:2"]}`, `{"a": "***" , "b":[1, "***"]}`, "[[a] [b 1]]"},
		{`"taskhost-sealed:1"`, `"***"`, "[[]]"},
		{`{"a":"taskhost-sealed:1","a":"taskhost-sealed:2"}`, `{"a":"***","a":"***"}`, "[[a] [a]]"},
		{`{"taskhost-sealed:1":1}`, `{"taskhost-sealed:1":1}`, "[]"},               // a name is no value
		{`{"a":"\"taskhost-sealed:1"}`, `{"a":"\"taskhost-sealed:1"}`, "[]"},       // it does not begin so
		{`{"a":"taskhost\u002dsealed:1"}`, `{"a":"taskhost\u002dsealed:1"}`, "[]"}, // nor are these its bytes
		{`{"\u00e4/b":{"é":["taskhost-sealed:"]}}`, `{"\u00e4/b":{"é":["***"]}}`, "[[ä/b é 0]]"},
		{`{"a":"taskhost-sealed:1"`, `{"a":"taskhost-sealed:1"`, "[]"}, // a damaged row is no document
		{`[[],{},[{}],-1.5e3,null,true, "taskhost-sealed:"]`, `[[],{},[{}],-1.5e3,null,true, "***"]`, "[[6]]"},
		{``, ``, "[]"},
	} {
		if got := string(MaskInput(json.RawMessage(c.input))); got != c.shown {
			t.Errorf("%s is shown as %s, want %s", c.input, got, c.shown)
		}
		paths := [][]string{}
		for _, p := range SealedParts([]byte(c.input)) {
			paths = append(paths, p.Path)
		}
		if got := fmt.Sprint(paths); got != c.paths {
			t.Errorf("%s has sealed parts %s, want %s", c.input, got, c.paths)
		}
		if err := RefuseSealed(json.RawMessage(c.input)); (CodeOf(err) == CodeInvalidInput) != (c.paths != "[]") {
			t.Errorf("%s: %v", c.input, err)
		}
	}
}

// The walk finds what encoding/json does, at any valid document.
func FuzzWalkJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":null}],"c":"x\"y"}`, ` [ ] `, `"taskhost-sealed:"`, `{"":{"":[[-1e5 ,true]]}}`, `1`, `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if BoundJSON(data) != nil {
			return
		}
		MaskInput(data) // whatever it is, it is looked at in safety
		if !json.Valid(data) {
			return
		}
		var leaves []string
		isLeaf := func(_ []string, from int) bool { return data[from] == '{' || data[from] == '[' }
		WalkJSON(data, isLeaf, func(p JSONPart) {
			if !json.Valid(data[p.From:p.To]) {
				t.Errorf("%s: %q at %v is no value", data, data[p.From:p.To], p.Path)
			}
			leaves = append(leaves, strings.Join(p.Path, "/"))
		})
		WalkJSON(data, func([]string, int) bool { return false }, func(p JSONPart) {
			if strings.TrimSpace(string(data)) != string(data[p.From:p.To]) {
				t.Errorf("%q is not all of %q", data[p.From:p.To], data)
			}
		})
		slices.Sort(leaves)
		leaves = slices.Compact(leaves)
		if want := leavesOf(t, data); !slices.Equal(leaves, want) {
			t.Errorf("%s: leaves %q, want %q", data, leaves, want)
		}
	})
}

// leavesOf are the paths to all values that hold no others, as encoding/json reads them.
func leavesOf(t *testing.T, data []byte) (paths []string) {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var walk func(path []string)
	walk = func(path []string) {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch tok {
		case json.Delim('{'):
			for dec.More() {
				name, _ := dec.Token()
				walk(append(path, name.(string)))
			}
		case json.Delim('['):
			for n := 0; dec.More(); n++ {
				walk(append(path, fmt.Sprint(n)))
			}
		default:
			paths = append(paths, strings.Join(path, "/"))
			return
		}
		if _, err := dec.Token(); err != nil { // the end
			t.Fatal(err)
		}
	}
	walk(nil)
	slices.Sort(paths)
	return slices.Compact(paths)
}
