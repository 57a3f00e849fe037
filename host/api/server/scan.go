package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/task"
)

// checkJSON says why body is not one JSON value within the bounds of the project.
func checkJSON(body []byte) error {
	if json.Valid(body) {
		if !utf8.Valid(body) {
			return task.Errorf(task.CodeInvalidRequest, "the body is not UTF-8")
		}
		if err := task.BoundJSON(body); err != nil {
			return task.Errorf(task.CodeInvalidRequest, "the body %v", err)
		}
		return nil
	}
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return task.Errorf(task.CodeInvalidRequest, "the body is not JSON: %s, at byte %d", syntax.Error(), syntax.Offset)
	}
	return task.Errorf(task.CodeInvalidRequest, "the body is not JSON")
}

// scanObject visits the members of the object in data, which checkJSON has
// passed. The standard decoder would do for this, but it takes the last of two
// equal names, matches names whatever their case, and copies what it visits.
// False says that it is no object.
func scanObject(data []byte, at place, bad *faults, visit func(name string, value json.RawMessage)) bool {
	s := scanner{data: data}
	s.skipSpace()
	if !s.take('{') {
		bad.add(at, "is not an object")
		return false
	}
	seen := make(map[string]struct{}, 8)
	for s.skipSpace(); !s.take('}'); s.skipSpace() {
		raw := s.value()
		name := unquote(raw)
		s.skipSpace()
		s.pos++ // the colon
		s.skipSpace()
		value := s.value()
		s.skipSpace()
		s.take(',')
		if _, twice := seen[name]; twice {
			bad.add(at.to(name), "stands twice")
			continue
		}
		seen[name] = struct{}{}
		visit(name, value)
	}
	return true
}

// scanArray visits the elements of the array in data, which checkJSON has passed.
func scanArray(data []byte, at place, bad *faults, visit func(i int, value json.RawMessage)) {
	s := scanner{data: data}
	s.skipSpace()
	if !s.take('[') {
		bad.add(at, "is not an array")
		return
	}
	i := 0
	for s.skipSpace(); !s.take(']'); s.skipSpace() {
		visit(i, s.value())
		i++
		s.skipSpace()
		s.take(',')
	}
}

// scanner walks over valid JSON, and looks at no more than it must.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// take passes over c if that comes next.
func (s *scanner) take(c byte) bool {
	if s.pos >= len(s.data) {
		return c == '}' || c == ']' // not in valid JSON; end rather than loop
	}
	if s.data[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

// next is take where it is not known that anything comes.
func (s *scanner) next(c byte) bool { return s.pos < len(s.data) && s.take(c) }

// value passes over a whole value, and gives it.
func (s *scanner) value() json.RawMessage {
	start, depth := s.pos, 0
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '"':
			s.skipString()
		case '{', '[':
			depth++
			s.pos++
		case '}', ']':
			depth--
			s.pos++
		default:
			if depth == 0 {
				s.skipScalar()
			} else {
				s.pos++
			}
		}
		if depth <= 0 {
			break
		}
	}
	return s.data[start:min(s.pos, len(s.data))]
}

func (s *scanner) skipString() {
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return
		}
	}
}

func (s *scanner) skipScalar() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ',', '}', ']', ':', ' ', '\t', '\n', '\r':
			return
		}
		s.pos++
	}
}

// unquote is the text of a JSON string.
func unquote(raw []byte) string {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var v string
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	return v
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }
