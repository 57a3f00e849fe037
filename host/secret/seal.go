package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// Origin is whose input a value stands in. What was sealed for one opens for no other.
type Origin struct{ Owner, Type string }

// What follows task.SealMark in a sealed value: the version, the id of the key, and nonce and
// ciphertext in base64.
const sealVersion = "1"

var errNoKeys = task.Errorf(task.CodeInternal, "this host has no keys, and the input has values that must not be kept in clear")

// Seal is an input with parts of it sealed. They are in the order in which they stand there,
// and not within one another.
func (r *Ring) Seal(o Origin, input json.RawMessage, parts []task.JSONPart) (json.RawMessage, error) {
	if r == nil || len(r.keys) == 0 {
		return nil, errNoKeys
	}
	values := make([][]byte, len(parts))
	for i, p := range parts {
		var err error
		if values[i], err = r.seal(o, p.Path, input[p.From:p.To]); err != nil {
			return nil, err
		}
	}
	return task.ReplaceParts(input, parts, values), nil
}

func (r *Ring) seal(o Origin, path []string, value []byte) ([]byte, error) {
	k := r.last()
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := r.random(nonce); err != nil {
		return nil, fmt.Errorf("seal an input: %w", err)
	}
	box := k.aead.Seal(nonce, nonce, value, context(o, path))
	return []byte(`"` + task.SealMark + sealVersion + ":" + k.id + ":" + base64.RawURLEncoding.EncodeToString(box) + `"`), nil
}

// Open is an input as it was before Seal, and the values that were sealed in it. It is the
// input itself if there were none. The error says which value no key opens.
func (r *Ring) Open(o Origin, input json.RawMessage) (out json.RawMessage, values [][]byte, err error) {
	parts := task.SealedParts(input)
	if len(parts) == 0 {
		return input, nil, nil
	}
	values = make([][]byte, len(parts))
	for i, p := range parts {
		if values[i], err = r.open(o, p.Path, input[p.From+1:p.To-1]); err != nil {
			return nil, nil, err
		}
	}
	return task.ReplaceParts(input, parts, values), values, nil
}

// open opens one sealed value, which is given without its quotes.
func (r *Ring) open(o Origin, path []string, sealed []byte) ([]byte, error) {
	failed := func(why string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("the sealed value at /%s cannot be opened: "+why, append([]any{strings.Join(path, "/")}, args...)...)
	}
	fields := strings.Split(string(sealed[len(task.SealMark):]), ":")
	if len(fields) != 3 || fields[0] != sealVersion {
		return failed("it is damaged, or of another version of taskhost")
	}
	box, err := base64.RawURLEncoding.DecodeString(fields[2])
	if err != nil {
		return failed("it is damaged")
	}
	known := false
	for _, k := range r.all() {
		if k.id != fields[1] {
			continue
		}
		known = true
		if n := k.aead.NonceSize(); len(box) >= n {
			if value, err := k.aead.Open(nil, box[:n], box[n:], context(o, path)); err == nil {
				return value, nil
			}
		}
	}
	if !known {
		return failed("the key %.16q that sealed it is not among this host's", fields[1])
	}
	return failed("it is damaged, or was not sealed for this owner, task type and place")
}

// Reseal is an input in which the last key has sealed what other keys had. What no key opens
// stays as it is, and the error says so.
func (r *Ring) Reseal(o Origin, input json.RawMessage) (json.RawMessage, error) {
	last := []byte(`"` + task.SealMark + sealVersion + ":" + r.last().id + ":")
	parts := task.SealedParts(input)
	values := make([][]byte, len(parts))
	var unopened error
	for i, p := range parts {
		values[i] = input[p.From:p.To]
		if bytes.HasPrefix(values[i], last) {
			continue
		}
		clear, err := r.open(o, p.Path, input[p.From+1:p.To-1])
		if err != nil {
			unopened = err
			continue
		}
		if values[i], err = r.seal(o, p.Path, clear); err != nil {
			return nil, err
		}
	}
	return task.ReplaceParts(input, parts, values), unopened
}

// context is what a sealed value is bound to: whose it is, and where it stands. Each part is
// written with its length, so that no two contexts are the same bytes.
func context(o Origin, path []string) (b []byte) {
	for _, part := range append([]string{o.Owner, o.Type}, path...) {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}
