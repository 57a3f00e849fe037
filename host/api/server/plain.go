package server

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/task"
)

// plainSpec reads into s the body of most submits: a type whose name is plain ASCII, an input or
// none, and nothing else. It is false for any other body, and for one with a mistake, which are
// for checkJSON and decodeSpec to read: what it takes they read as it does, in four times the time.
func plainSpec(body []byte, s *task.Spec) bool {
	var kind, input json.RawMessage
	in := scanner{data: body}
	in.skipSpace()
	for more := in.next('{'); more; more = in.next(',') {
		in.skipSpace()
		var into *json.RawMessage
		switch name := in.value(); {
		case string(name) == `"type"` && kind == nil:
			into = &kind
		case string(name) == `"input"` && input == nil:
			into = &input
		default:
			return false
		}
		in.skipSpace()
		if !in.next(':') {
			return false
		}
		in.skipSpace()
		*into = in.value()
		in.skipSpace()
	}
	if !in.next('}') {
		return false
	}
	in.skipSpace()
	if in.pos != len(body) || !isPlainText(kind) {
		return false
	}
	if input != nil && !isNull(input) && (!json.Valid(input) || !utf8.Valid(input) || task.BoundJSON(body) != nil) {
		return false
	}
	s.Type = string(kind[1 : len(kind)-1])
	if !isNull(input) {
		s.Input = input
	}
	return true
}

// isPlainText says that raw is a JSON string of some printable ASCII, all of which stands for itself.
func isPlainText(raw []byte) bool {
	if len(raw) <= len(`""`) || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
