package secret

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
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
func (r *Ring) Seal(o Origin, input json.RawMessage, parts []task.JSONPart) (_ json.RawMessage, err error) {
	if r == nil || len(r.keys) == 0 {
		return nil, errNoKeys
	}
	k := r.keys[len(r.keys)-1]
	out := task.ReplaceParts(input, parts, func(i int) []byte {
		p := &parts[i]
		nonce := make([]byte, k.aead.NonceSize())
		if _, e := r.random(nonce); e != nil {
			err = fmt.Errorf("seal an input: %w", e)
			return nil
		}
		box := k.aead.Seal(nonce, nonce, input[p.From:p.To], context(o, p.Path))
		return []byte(`"` + task.SealMark + sealVersion + ":" + k.id + ":" + base64.RawURLEncoding.EncodeToString(box) + `"`)
	})
	return out, err
}

// Open is an input as it was before Seal, and the values that were sealed in it. It is the
// input itself if there were none. The error says which value no key opens.
func (r *Ring) Open(o Origin, input json.RawMessage) (out json.RawMessage, values []json.RawMessage, err error) {
	parts := task.SealedParts(input)
	if len(parts) == 0 {
		return input, nil, nil
	}
	values = make([]json.RawMessage, len(parts))
	for i, p := range parts {
		if values[i], err = r.open(o, p.Path, input[p.From+1:p.To-1]); err != nil {
			return nil, nil, fmt.Errorf("the sealed value at /%s cannot be opened: %w", strings.Join(p.Path, "/"), err)
		}
	}
	return task.ReplaceParts(input, parts, func(i int) []byte { return values[i] }), values, nil
}

func (r *Ring) open(o Origin, path []string, sealed []byte) (json.RawMessage, error) {
	fields := strings.Split(string(sealed[len(task.SealMark):]), ":")
	if len(fields) != 3 || fields[0] != sealVersion {
		return nil, errors.New("it is damaged, or of another version of taskhost")
	}
	box, err := base64.RawURLEncoding.DecodeString(fields[2])
	if err != nil {
		return nil, errors.New("it is damaged")
	}
	known := false
	if r != nil {
		for _, k := range r.keys {
			if k.id != fields[1] || len(box) < k.aead.NonceSize() {
				continue
			}
			known = true
			n := k.aead.NonceSize()
			if value, err := k.aead.Open(nil, box[:n], box[n:], context(o, path)); err == nil {
				return value, nil
			}
		}
	}
	if !known {
		return nil, fmt.Errorf("the key %.16q that sealed it is not among this host's", fields[1])
	}
	return nil, errors.New("it is damaged, or was not sealed for this owner, task type and place")
}

// Reseal has the last key seal what other keys have sealed; changed says whether there was any.
func (r *Ring) Reseal(o Origin, input json.RawMessage) (out json.RawMessage, changed bool, err error) {
	last := task.SealMark + sealVersion + ":" + r.keys[len(r.keys)-1].id + ":"
	parts := task.SealedParts(input)
	for _, p := range parts {
		changed = changed || !strings.HasPrefix(string(input[p.From+1:p.To]), last)
	}
	if !changed {
		return input, false, nil
	}
	clear, values, err := r.Open(o, input)
	if err != nil {
		return nil, false, err
	}
	shift := 0
	for i := range parts { // where they stand in the clear
		was := parts[i].To - parts[i].From
		parts[i].From += shift
		parts[i].To = parts[i].From + len(values[i])
		shift += len(values[i]) - was
	}
	out, err = r.Seal(o, clear, parts)
	return out, err == nil, err
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
