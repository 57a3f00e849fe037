package sqlite

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// TestOneExclusive: the document that is read without a decoder is read as a decoder does, and
// every other one is left to it.
func TestOneExclusive(t *testing.T) {
	plain := 0
	names := []string{"disk", "ä", "a b", "\u2028", `"`, `\`, `a"b`, `","`, `"]}`, `],"shared":["b`, "<&>", "\n"}
	for _, name := range names {
		for _, r := range []task.Resources{{Exclusive: []string{name}}, {Exclusive: []string{name, "b"}}, {Shared: []string{name}}, {Exclusive: []string{name}, Shared: []string{"b"}}} {
			document := resourcesDocument(&r)
			var want task.Resources
			if err := json.Unmarshal([]byte(document), &want); err != nil {
				t.Fatal(err)
			}
			got, ok := oneExclusive([]byte(document))
			if ok && !reflect.DeepEqual(want, task.Resources{Exclusive: []string{got}}) {
				t.Errorf("%s was read as %q", document, got)
			}
			if ok {
				plain++
			}
		}
	}
	if plain != 3 {
		t.Errorf("%d are plain", plain)
	}
	for _, damaged := range []string{"", "{", `{"exclusive":["`, `{"exclusive":["a`, `{"exclusive":["a"]`, `{"exclusive":["a"]}}`} {
		if name, ok := oneExclusive([]byte(damaged)); ok {
			t.Errorf("%s was read as %q", damaged, name)
		}
	}
}
