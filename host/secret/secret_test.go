package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

var alice = Origin{Owner: "alice", Type: "mail"}

func ring(t testing.TB) *Ring {
	t.Helper()
	r, err := New(rand.Read)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// leaves are all values of a document that hold no others.
func leaves(input []byte) (parts []task.JSONPart) {
	isHolder := func(_ []string, from int) bool { return input[from] == '{' || input[from] == '[' }
	task.WalkJSON(input, isHolder, func(p task.JSONPart) { parts = append(parts, p) })
	return parts
}

func seal(t testing.TB, r *Ring, o Origin, input string) json.RawMessage {
	t.Helper()
	sealed, err := r.Seal(o, json.RawMessage(input), leaves([]byte(input)))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// What is sealed opens byte for byte, for its owner, type and place alone.
func TestSealAndOpen(t *testing.T) {
	r := ring(t)
	const input = ` {"a": "s3cret\u00e9" , "b":[12345, null, {"a":""}]}`
	sealed := seal(t, r, alice, input)
	if s := string(sealed); strings.Contains(s, "s3cret") || strings.Contains(s, "12345") || !json.Valid(sealed) || string(seal(t, r, alice, input)) == s {
		t.Fatalf("sealed: %s", s)
	}
	if got := string(task.MaskInput(sealed)); got != ` {"a": "***" , "b":["***", "***", {"a":"***"}]}` {
		t.Errorf("shown as %s", got)
	}
	opened, values, err := r.Open(alice, sealed)
	if err != nil || string(opened) != input || len(values) != 4 || string(values[1]) != "12345" {
		t.Errorf("opened: %s, %q, %v", opened, values, err)
	}
	if got, values, err := r.Open(alice, json.RawMessage(`{"plain":1}`)); string(got) != `{"plain":1}` || values != nil || err != nil {
		t.Errorf("nothing sealed: %s, %q, %v", got, values, err)
	}
	elsewhere := json.RawMessage(strings.Replace(string(sealed), `"a":`, `"c":`, 1))
	damaged := json.RawMessage(strings.Replace(string(sealed), sealVersion+":", sealVersion+":0", 1))
	cut := json.RawMessage(`"taskhost-sealed:1:` + r.keys[0].id + `:AAAA"`)
	for name, c := range map[string]struct {
		ring  *Ring
		of    Origin
		input json.RawMessage
	}{
		"another owner": {r, Origin{"bob", "mail"}, sealed}, "another type": {r, Origin{"alice", "http"}, sealed}, "moved between both": {r, Origin{"alicem", "ail"}, sealed},
		"another place": {r, alice, elsewhere}, "another key": {ring(t), alice, sealed}, "no key": {nil, alice, sealed}, "damaged": {r, alice, damaged}, "cut": {r, alice, cut},
		"of a later version": {r, alice, json.RawMessage(`"taskhost-sealed:2:x:y"`)},
	} {
		if got, _, err := c.ring.Open(c.of, c.input); err == nil {
			t.Errorf("%s: opened %s", name, got)
		}
	}
	if _, err := (*Ring)(nil).Seal(alice, json.RawMessage(`1`), leaves([]byte(`1`))); err == nil {
		t.Error("sealed without a key")
	}
}

// A new key seals, the old ones open until they are retired, and a file keeps all of it.
func TestKeys(t *testing.T) {
	r := ring(t)
	old := seal(t, r, alice, `{"a":"s3cret","b":["long enough",1]}`)
	hash := r.Hash([32]byte{1})
	if err := r.Add(); err != nil {
		t.Fatal(err)
	}
	r = reread(t, r)
	fresh, err := r.Reseal(alice, old)
	if err != nil || string(fresh) == string(old) {
		t.Fatalf("reseal: %v", err)
	}
	if again, err := r.Reseal(alice, fresh); err != nil || string(again) != string(fresh) {
		t.Errorf("resealed twice: %v", err)
	}
	partly := strings.Replace(string(old), `["taskhost-sealed:1:`, `["taskhost-sealed:1:0`, 1) // of a key that is lost
	if mixed, err := r.Reseal(alice, json.RawMessage(partly)); err == nil || strings.Contains(string(mixed), r.keys[0].id+":") && !strings.Contains(string(mixed), ":0"+r.keys[0].id) ||
		strings.Count(string(mixed), r.keys[1].id) != 2 {
		t.Errorf("resealed what opens beside what does not: %s, %v", mixed, err)
	}
	r.Retire()
	r = reread(t, r)
	if opened, _, err := r.Open(alice, fresh); err != nil || string(opened) != `{"a":"s3cret","b":["long enough",1]}` {
		t.Errorf("opened: %s, %v", opened, err)
	}
	if _, _, err := r.Open(alice, old); err == nil {
		t.Error("a retired key opens")
	}
	if !slices.Contains(r.Hashes([32]byte{1}), hash) || r.Hash([32]byte{1}) == hash {
		t.Error("what the retired key has hashed is not compared with, or it still hashes")
	}
	if err := r.Add(); err != nil {
		t.Fatal(err)
	}
	if r.Retire(); slices.Contains(r.Hashes([32]byte{1}), hash) {
		t.Error("hashes of keys before the last rotation are compared with")
	}
	for _, bad := range []string{"", "# nothing", "taskhost-key:1:AAAA", "taskhost-key:1:" + strings.Repeat("!", 44), "key", "taskhost-hash-key:1:" + strings.Repeat("A", 43) + "="} {
		if _, err := Parse([]byte(bad), rand.Read); err == nil {
			t.Errorf("taken for a key file: %q", bad)
		}
	}
}

func reread(t *testing.T, r *Ring) *Ring {
	t.Helper()
	n, err := Parse(r.Encode(), rand.Read)
	if err != nil || !bytes.Equal(n.Encode(), r.Encode()) {
		t.Fatalf("read again: %v", err)
	}
	return n
}

// Secrets are hidden in what a script says, as they are and as JSON writes them.
func TestHide(t *testing.T) {
	texts := NewTexts([][]byte{[]byte(`"s3cr\"et\u00e9"`), []byte(`{"password":"hunter2","pin":[123456,true],"short":"abc","longer":"hunter2000"}`)})
	for text, want := range map[string]string{
		`login with s3cr"eté failed`: `login with *** failed`, `{"p":"s3cr\"eté"}`: `{"p":"***"}`, `as sent: s3cr\"et\u00e9`: `as sent: ***`,
		`hunter2000 and hunter2`: `*** and ***`, `pin 123456, password abc`: `pin ***, password abc`,
	} {
		if got := texts.Hide(text); got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
	}
	if none := NewTexts([][]byte{[]byte(`"abc"`), []byte(`null`)}); none.Hide("abc null") != "abc null" {
		t.Error("what is too short is hidden")
	}
}

// Whatever stands in a store or a key file, it is looked at in safety; and what is sealed opens.
func FuzzOpen(f *testing.F) {
	r := ring(f)
	f.Add([]byte(seal(f, r, alice, `{"a":["x",1]}`)))
	f.Add([]byte(`{"a":"taskhost-sealed:1:` + r.keys[0].id + `:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`))
	f.Add(r.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := Parse(data, rand.Read); err == nil {
			reread(t, n)
		}
		_, _, _ = r.Open(alice, data)
		_, _ = r.Reseal(alice, data)
		if task.BoundJSON(data) != nil || !json.Valid(data) || task.MayBeSealed(data) {
			return
		}
		sealed := seal(t, r, alice, string(data))
		opened, _, err := r.Open(alice, sealed)
		if err != nil || string(opened) != string(data) {
			t.Errorf("%s opens as %s, %v", data, opened, err)
		}
	})
}
