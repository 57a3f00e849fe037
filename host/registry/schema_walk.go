package registry

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/task"
)

// plainWalk is a document that was looked at up to at, and in how many objects and arrays that is.
type plainWalk struct {
	data  []byte
	at    int
	depth int
}

// value looks at a value.
func (w *plainWalk) value(s *plainSchema) bool {
	if s.unknown || w.afterSpace() == len(w.data) {
		return false
	}
	c := w.data[w.at]
	if c == '"' {
		text, ok := w.text()
		return ok && s.takes(jsonString) && s.matchText(&text)
	}
	if s.texts != nil {
		return false
	}
	switch c {
	case '{':
		return s.takes(jsonObject) && w.object(s)
	case '[':
		return s.takes(jsonArray) && w.array(s)
	case 'n':
		return s.takes(jsonNull) && w.word("null")
	case 't':
		return s.takes(jsonBoolean) && w.word("true")
	case 'f':
		return s.takes(jsonBoolean) && w.word("false")
	}
	return w.number(s)
}

func (w *plainWalk) object(s *plainSchema) bool {
	if !w.enter() {
		return false
	}
	var seen uint64
	for first := true; !w.take('}'); first = false {
		if !first && !w.take(',') {
			return false
		}
		name, ok := w.text()
		if !ok || name.escaped || !name.ascii || !w.take(':') {
			return false
		}
		to := s.others
		if p, named := s.properties[string(name.bytes)]; named {
			to = p.schema
			seen |= p.bit
		}
		if to == nil {
			to = &anyPlain
		}
		if !w.value(to) {
			return false
		}
	}
	w.depth--
	return seen == s.required
}

var anyPlain = *newPlainSchema(true)

func (w *plainWalk) array(s *plainSchema) bool {
	if !w.enter() {
		return false
	}
	items := s.items
	if items == nil {
		items = &anyPlain
	}
	n := int64(0)
	for ; !w.take(']'); n++ {
		if n > 0 && !w.take(',') || !w.value(items) {
			return false
		}
	}
	w.depth--
	return n >= s.minItems && n <= s.maxItems
}

// enter goes into an object or an array, unless it is too deep.
func (w *plainWalk) enter() bool {
	w.at++
	w.depth++
	return w.depth <= task.MaxJSONDepth
}

// plainText is a string as it is written.
type plainText struct {
	bytes   []byte
	escaped bool // it stands for another text
	ascii   bool
}

// text goes past a string, if one comes next.
func (w *plainWalk) text() (t plainText, ok bool) {
	if !w.take('"') {
		return t, false
	}
	t.ascii = true
	for from := w.at; w.at < len(w.data); w.at++ {
		switch c := w.data[w.at]; {
		case c == '"':
			t.bytes = w.data[from:w.at]
			w.at++
			return t, true
		case c < ' ':
			return t, false
		case c == '\\':
			t.escaped = true
			if !w.escape() {
				return t, false
			}
		case c >= utf8.RuneSelf:
			t.ascii = false
		}
	}
	return t, false
}

// escape goes to the last byte of an escape within a string.
func (w *plainWalk) escape() bool {
	w.at++
	rest := w.data[w.at:]
	if len(rest) == 0 || rest[0] != 'u' {
		return len(rest) > 0 && strings.IndexByte(`"\/bfnrt`, rest[0]) >= 0
	}
	w.at += len("0000")
	return len(rest) > len("0000") && !slices.ContainsFunc(rest[1:len("u0000")], notHex)
}

func notHex(c byte) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') }

// number goes past a number. It takes integers that are written as such, and others only where
// nothing bounds them.
func (w *plainWalk) number(s *plainSchema) bool {
	from := w.at
	w.skip("-")
	whole := w.at
	n := w.digits()
	if n == 0 || n > 1 && w.data[whole] == '0' {
		return false
	}
	integer := true
	if w.skip(".") {
		integer = false
		if w.digits() == 0 {
			return false
		}
	}
	if w.skip("eE") {
		integer = false
		w.skip("+-")
		if w.digits() == 0 {
			return false
		}
	}
	number := w.data[from:w.at]
	bounded := s.minimum != math.MinInt64 || s.maximum != math.MaxInt64
	switch {
	case !integer:
		return s.takes(jsonNumber) && !bounded && task.BoundNumber(number) == nil
	case bounded:
		n, err := strconv.ParseInt(string(number), 10, 64)
		return err == nil && s.takes(jsonInteger) && n >= s.minimum && n <= s.maximum
	}
	return s.takes(jsonInteger) && len(number) <= task.MaxJSONNumber
}

// digits goes past digits, and says how many there were.
func (w *plainWalk) digits() int {
	from := w.at
	for w.at < len(w.data) && w.data[w.at] >= '0' && w.data[w.at] <= '9' {
		w.at++
	}
	return w.at - from
}

// skip goes past one of those bytes, if it comes next.
func (w *plainWalk) skip(of string) bool {
	if w.at == len(w.data) || strings.IndexByte(of, w.data[w.at]) < 0 {
		return false
	}
	w.at++
	return true
}

// word goes past a word, if it comes next.
func (w *plainWalk) word(text string) bool {
	if !bytes.HasPrefix(w.data[w.at:], []byte(text)) {
		return false
	}
	w.at += len(text)
	return true
}

// take goes past a byte, if it comes next, behind spaces.
func (w *plainWalk) take(c byte) bool {
	if w.afterSpace() == len(w.data) || w.data[w.at] != c {
		return false
	}
	w.at++
	return true
}

// afterSpace goes past spaces, and says where it is.
func (w *plainWalk) afterSpace() int {
	for w.at < len(w.data) && (w.data[w.at] == ' ' || w.data[w.at] == '\n' || w.data[w.at] == '\t' || w.data[w.at] == '\r') {
		w.at++
	}
	return w.at
}
