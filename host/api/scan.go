package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/task"
)

// maxFieldErrors bounds what one answer lists: a batch of 10,000 mistakes is not
// better understood for being told in full.
const maxFieldErrors = 100

// faults gathers what is wrong with a request, so that one answer says it all.
type faults []task.FieldError

func (f *faults) add(pointer, format string, args ...any) {
	if len(*f) < maxFieldErrors {
		*f = append(*f, task.FieldError{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &task.Error{Code: task.CodeInvalidRequest, Message: strings.TrimSpace(orBody(f[0].Pointer) + " " + f[0].Message), Fields: f}
}

func orBody(pointer string) string {
	if pointer == "" {
		return "the body"
	}
	return pointer
}

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
func scanObject(data []byte, at string, bad *faults, visit func(name string, value json.RawMessage)) bool {
	s := scanner{data: data}
	s.space()
	if !s.take('{') {
		bad.add(at, "is not an object")
		return false
	}
	seen := make(map[string]struct{}, 8)
	for s.space(); !s.take('}'); s.space() {
		raw := s.value()
		name := unquote(raw)
		s.space()
		s.pos++ // the colon
		s.space()
		value := s.value()
		s.space()
		s.take(',')
		if _, twice := seen[name]; twice {
			bad.add(at+"/"+escape(name), "stands twice")
			continue
		}
		seen[name] = struct{}{}
		visit(name, value)
	}
	return true
}

// scanArray visits the elements of the array in data, which checkJSON has passed.
func scanArray(data []byte, at string, bad *faults, visit func(i int, value json.RawMessage)) {
	s := scanner{data: data}
	s.space()
	if !s.take('[') {
		bad.add(at, "is not an array")
		return
	}
	i := 0
	for s.space(); !s.take(']'); s.space() {
		visit(i, s.value())
		i++
		s.space()
		s.take(',')
	}
}

// scanner walks over valid JSON, and looks at no more than it must.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

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

func (s *scanner) value() json.RawMessage {
	start, depth := s.pos, 0
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '"':
			s.str()
		case '{', '[':
			depth++
			s.pos++
		case '}', ']':
			depth--
			s.pos++
		default:
			if depth == 0 {
				s.scalar()
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

func (s *scanner) str() {
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

func (s *scanner) scalar() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ',', '}', ']', ':', ' ', '\t', '\n', '\r':
			return
		}
		s.pos++
	}
}

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

// escape escapes one reference token of a JSON pointer (RFC 6901).
func escape(s string) string {
	if !strings.ContainsAny(s, "~/") { // a Replacer is dear to make, and hardly ever needed
		return s
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

func (f *faults) str(raw json.RawMessage, at string) string {
	if raw[0] != '"' {
		f.add(at, "is not a string")
		return ""
	}
	return unquote(raw)
}

func (f *faults) integer(raw json.RawMessage, at string) int {
	var n int32
	if err := json.Unmarshal(raw, &n); err != nil {
		f.add(at, "is not an integer of 32 bits")
	}
	return int(n)
}

func (f *faults) time(raw json.RawMessage, at string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, f.str(raw, at))
	if err != nil {
		f.add(at, "is not a time of RFC 3339, such as 2026-11-23T12:00:00.5Z")
	} else if !task.ValidTime(t) {
		f.add(at, "is not %s", task.TimeRange)
		return time.Time{}
	}
	return t.UTC()
}

// duration is a string such as "1h30m", or a number of seconds.
func (f *faults) duration(raw json.RawMessage, at string) time.Duration {
	const want = `is not a duration: want a string such as "30s" or "1h30m", or a number of seconds`
	if raw[0] == '"' {
		d, err := time.ParseDuration(unquote(raw))
		if err != nil {
			f.add(at, want)
		}
		return d
	}
	var s float64
	if err := json.Unmarshal(raw, &s); err != nil || math.Abs(s) > math.MaxInt64/2/float64(time.Second) {
		f.add(at, want)
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

func (f *faults) stringMap(raw json.RawMessage, at string) map[string]string {
	out := map[string]string{}
	scanObject(raw, at, f, func(name string, value json.RawMessage) {
		out[name] = f.str(value, at+"/"+escape(name))
	})
	return out
}
