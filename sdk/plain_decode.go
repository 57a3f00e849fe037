package sdk

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An input is decoded for every attempt, and most are small objects of texts and numbers. Of
// those encoding/json took a third of all that such a task costs, so what is plainly written
// for a plain type is read here, in one pass. Only what encoding/json takes is taken, and as
// the same value; faults, and all that is not seen at a glance, are left to it.

// plainType is a Go type of structs, lists, pointers, texts, numbers and booleans, as
// encoding/json reads them. A nil one is any other type.
type plainType struct {
	kind   reflect.Kind
	bits   int                   // of a number
	fields map[string]plainField // of a struct, by their names in JSON
	elem   *plainType            // of a list or a pointer
}

// plainField is a field of a struct, and the bit that is set once it was there.
type plainField struct {
	*plainType
	index int
	bit   uint64
}

const maxPlainFields = 64 // of a struct

// plainTypes are types by what they are in Go. A type is not plain within itself.
type plainTypes map[reflect.Type]*plainType

func newPlainType(t reflect.Type) *plainType { return plainTypes{}.of(t) }

func (p plainTypes) of(t reflect.Type) *plainType {
	n, known := p[t]
	if !known {
		p[t] = nil
		n = p.make(t)
		p[t] = n
	}
	return n
}

func (p plainTypes) make(t reflect.Type) *plainType {
	to := reflect.PointerTo(t)
	readsItself := to.Implements(reflect.TypeFor[json.Unmarshaler]()) || to.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	if readsItself || t == reflect.TypeFor[json.Number]() {
		return nil
	}
	n := &plainType{kind: t.Kind()}
	switch t.Kind() {
	case reflect.String, reflect.Bool:
		return n
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		n.bits = t.Bits()
		return n
	case reflect.Slice, reflect.Pointer:
		n.elem = p.of(t.Elem())
		if n.elem != nil { // bytes are none
			return n
		}
	case reflect.Struct:
		n.fields = map[string]plainField{}
		if n.addFields(t, p) {
			return n
		}
	}
	return nil
}

// addFields adds the fields of a struct; false if encoding/json goes by more than their names.
func (n *plainType) addFields(t reflect.Type, types plainTypes) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options := jsonName(f)
		if f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if _, twice := n.fields[name]; twice || f.Anonymous || i >= maxPlainFields || strings.ContainsFunc(name, notInPlainName) || slices.Contains(options, "string") {
			return false
		}
		n.fields[name] = plainField{types.of(f.Type), i, 1 << i}
	}
	return true
}

func notInPlainName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// decode reads one JSON value into v, a zero value of the type. If it says false v may hold
// some of it.
func (t *plainType) decode(data []byte, v reflect.Value) bool {
	j := plainJSON{data: data}
	return j.value(t, v) && j.space() == len(data)
}

// plainJSON is a text that is read up to at.
type plainJSON struct {
	data []byte
	at   int
}

// value reads a value; false if it is not plain, or none.
func (j *plainJSON) value(t *plainType, v reflect.Value) bool {
	if t == nil {
		return false
	}
	switch t.kind {
	case reflect.Struct:
		return j.object(t, v)
	case reflect.Slice:
		return j.list(t, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return j.value(t.elem, v.Elem())
	case reflect.String:
		text, ok := j.text()
		v.SetString(string(text))
		return ok
	case reflect.Bool:
		yes := j.word("true")
		v.SetBool(yes)
		return yes || j.word("false")
	case reflect.Float32, reflect.Float64:
		text, ok := j.number(true)
		n, err := strconv.ParseFloat(string(text), t.bits)
		v.SetFloat(n)
		return ok && err == nil
	}
	text, ok := j.number(false)
	n, err := strconv.ParseInt(string(text), 10, t.bits)
	v.SetInt(n)
	return ok && err == nil
}

func (j *plainJSON) object(t *plainType, v reflect.Value) bool {
	if !j.take('{') {
		return false
	}
	seen := uint64(0)
	for !j.take('}') {
		if seen != 0 && !j.take(',') {
			return false
		}
		name, ok := j.text()
		f := t.fields[string(name)] // without a bit if there is none
		if !ok || f.bit&^seen == 0 || !j.take(':') || !j.value(f.plainType, v.Field(f.index)) {
			return false
		}
		seen |= f.bit
	}
	return true
}

func (j *plainJSON) list(t *plainType, v reflect.Value) bool {
	if !j.take('[') {
		return false
	}
	n := 0
	for ; !j.take(']'); n++ {
		if n > 0 && !j.take(',') {
			return false
		}
		v.Grow(1)
		v.SetLen(n + 1)
		if !j.value(t.elem, v.Index(n)) {
			return false
		}
	}
	if n == 0 {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	return true
}

// space is where what follows begins, behind spaces.
func (j *plainJSON) space() int {
	for j.at < len(j.data) && (j.data[j.at] == ' ' || j.data[j.at] == '\n' || j.data[j.at] == '\t' || j.data[j.at] == '\r') {
		j.at++
	}
	return j.at
}

// take goes past c if it comes next.
func (j *plainJSON) take(c byte) bool {
	if j.space() == len(j.data) || j.data[j.at] != c {
		return false
	}
	j.at++
	return true
}

// word goes past a word if it comes next.
func (j *plainJSON) word(w string) bool {
	if !bytes.HasPrefix(j.data[j.space():], []byte(w)) {
		return false
	}
	j.at += len(w)
	return true
}

// text is the text of a string without escapes.
func (j *plainJSON) text() ([]byte, bool) {
	if !j.take('"') {
		return nil, false
	}
	from := j.at
	ascii := true
	for ; j.at < len(j.data); j.at++ {
		switch c := j.data[j.at]; {
		case c == '"':
			text := j.data[from:j.at]
			j.at++
			return text, ascii || utf8.Valid(text)
		case c == '\\', c < ' ':
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

// number is an integer or, if it may be, another number.
func (j *plainJSON) number(fraction bool) ([]byte, bool) {
	from := j.space()
	if j.at < len(j.data) && j.data[j.at] == '-' {
		j.at++
	}
	whole := j.at
	n := j.digits()
	ok := n == 1 || n > 1 && j.data[whole] != '0'
	if fraction && j.at < len(j.data) && j.data[j.at] == '.' {
		j.at++
		ok = j.digits() > 0 && ok
	}
	return j.data[from:j.at], ok
}

// digits goes past digits, and says how many there were.
func (j *plainJSON) digits() int {
	from := j.at
	for j.at < len(j.data) && j.data[j.at] >= '0' && j.data[j.at] <= '9' {
		j.at++
	}
	return j.at - from
}
