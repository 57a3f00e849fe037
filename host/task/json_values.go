package task

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

// JSONPart is where a value stands in a JSON document.
type JSONPart struct {
	Path     []string // names of members and indexes of elements, from the root down
	From, To int      // its first byte, and the one behind its last
}

// WalkJSON visits the values of a valid JSON document, each before those in it. enter gets the
// path to a value, which is its own to keep only as a copy, and where it begins. It says
// whether to go into it; one that is not gone into is given to leaveOut, if that is not nil,
// with its end. Of a name that stands twice in an object both values are visited.
func WalkJSON(data []byte, enter func(path []string, from int) (into bool), leaveOut func(JSONPart)) {
	w := jsonWalk{data: data, enter: enter, leaveOut: leaveOut}
	if at := w.afterSpace(0); at < len(data) {
		w.value(at)
	}
}

type jsonWalk struct {
	data     []byte
	path     []string
	enter    func(path []string, from int) bool
	leaveOut func(JSONPart)
}

// value visits the value that begins at i, and says where it ends.
func (w *jsonWalk) value(i int) int {
	if !w.enter(w.path, i) {
		end := w.skip(i)
		if w.leaveOut != nil {
			w.leaveOut(JSONPart{Path: slices.Clone(w.path), From: i, To: end})
		}
		return end
	}
	switch w.data[i] {
	case '{':
		return w.parts(i, '}', true)
	case '[':
		return w.parts(i, ']', false)
	}
	return w.skip(i)
}

// parts visits what an object or an array holds that begins at i.
func (w *jsonWalk) parts(i int, last byte, named bool) int {
	i = w.afterSpace(i + 1)
	for n := 0; i < len(w.data) && w.data[i] != last; n++ {
		name := ""
		if named {
			end := stringEnd(w.data, i)
			name = unquoted(w.data[i:end])
			i = w.afterSpace(w.afterSpace(end) + 1) // behind the colon
		} else {
			name = strconv.Itoa(n)
		}
		w.path = append(w.path, name)
		i = w.afterSpace(w.value(i))
		w.path = w.path[:len(w.path)-1]
		if i < len(w.data) && w.data[i] == ',' {
			i = w.afterSpace(i + 1)
		}
	}
	return i + 1
}

// skip is the end of the value that begins at i.
func (w *jsonWalk) skip(i int) int {
	depth := 0
	for ; i < len(w.data); i++ {
		switch w.data[i] {
		case '"':
			if i = stringEnd(w.data, i) - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			} else if depth < 0 { // behind a number or a word that is the last of what holds it
				return i
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

func (w *jsonWalk) afterSpace(i int) int {
	for i < len(w.data) && (w.data[i] == ' ' || w.data[i] == '\n' || w.data[i] == '\t' || w.data[i] == '\r') {
		i++
	}
	return i
}

// unquoted is the text of a JSON string, as encoding/json reads it.
func unquoted(quoted []byte) string {
	for _, c := range quoted {
		if c == '\\' || c >= utf8.RuneSelf {
			var text string
			_ = json.Unmarshal(quoted, &text) // it is valid
			return text
		}
	}
	return string(quoted[1 : len(quoted)-1])
}
