package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// SealMark begins the JSON string that stands in an input in the place of a value which its
// type's schema marks as writeOnly: what follows is the value, encrypted (host/secret). No
// client's string may begin so, or it could have what others sealed opened for itself.
const SealMark = "taskhost-sealed:"

// Mask stands in the place of a sealed value wherever it is shown.
const Mask = `"***"`

var (
	quotedMark = []byte(`"` + SealMark)
	// endOfMark is sought instead of all of it: every string of an input begins with a quote, and to
	// look behind each is ten times the work.
	endOfMark = []byte(SealMark[len("taskhost"):])
)

// MayBeSealed says that there may be sealed values in an input: if not, there are none. It is
// a look at the bytes.
func MayBeSealed(input []byte) bool { return bytes.Contains(input, endOfMark) }

// SealedParts are the sealed values of an input, in the order in which they stand there. What
// is no JSON has none.
func SealedParts(input []byte) []JSONPart {
	if !MayBeSealed(input) || !json.Valid(input) {
		return nil
	}
	var parts []JSONPart
	enter := func(_ []string, from int) bool { return !bytes.HasPrefix(input[from:], quotedMark) }
	WalkJSON(input, enter, func(p JSONPart) { parts = append(parts, p) })
	return parts
}

// ReplaceParts is a JSON document with values in the places of parts, which are in the order in
// which they stand there and not within one another.
func ReplaceParts(document []byte, parts []JSONPart, values [][]byte) []byte {
	var out []byte
	from := 0
	for i, p := range parts {
		out = append(append(out, document[from:p.From]...), values[i]...)
		from = p.To
	}
	return append(out, document[from:]...)
}

// MaskInput is an input as it is shown: with Mask in the place of each sealed value.
func MaskInput(input json.RawMessage) json.RawMessage {
	parts := SealedParts(input)
	if len(parts) == 0 {
		return input
	}
	return ReplaceParts(input, parts, slices.Repeat([][]byte{[]byte(Mask)}, len(parts)))
}

// RefuseSealed refuses a client's input that has a string which begins as a sealed value does.
func RefuseSealed(input json.RawMessage) error {
	parts := SealedParts(input)
	if len(parts) == 0 {
		return nil
	}
	e := &Error{Code: CodeInvalidInput, Message: fmt.Sprintf("the input: /%s begins with %q, as only what this host has sealed does", strings.Join(parts[0].Path, "/"), SealMark)}
	for _, p := range parts[:min(len(parts), maxSealedFaults)] {
		e.Fields = append(e.Fields, FieldError{Path: append([]string{"input"}, p.Path...), Message: fmt.Sprintf("begins with %q: give the value itself", SealMark)})
	}
	return e
}

const maxSealedFaults = 20 // told of one input
