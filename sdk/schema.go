package sdk

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaOf derives the JSON Schema of a Go type: what encoding/json reads into it, within
// the bounds that jsonschema tags set. Its error names the type or the field at fault, and
// what to do.
//
// The library derives the parts. It knows no tags that bound a value, and takes a type
// which marshals itself, or a []byte, for what it is made of: those are handed to it here.
func schemaOf(t reflect.Type) (*jsonschema.Schema, error) {
	d := deriver{within: map[reflect.Type]bool{}, known: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():   {Type: "string", Format: "date-time"},
		reflect.TypeFor[slog.Level]():  {Type: "string"},
		reflect.TypeFor[json.Number](): {Type: "number"},
	}}
	maps.Copy(d.known, configValues())
	return d.schema(t)
}

// deriver derives the schema of one type, from its innermost parts outwards.
type deriver struct {
	known  map[reflect.Type]*jsonschema.Schema // what the library is to take as it stands
	within map[reflect.Type]bool               // the types being derived
}

func (d *deriver) schema(t reflect.Type) (*jsonschema.Schema, error) {
	if err := d.learn(t); err != nil {
		return nil, err
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: d.known})
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", t, err)
	}
	return s, nil
}

// learn makes known what the library would get wrong of t and of what t is made of.
func (d *deriver) learn(t reflect.Type) error {
	if d.known[t] != nil {
		return nil
	}
	if d.within[t] {
		return fmt.Errorf("type %s holds itself, and a derived schema cannot say so: "+
			"fill in a Script of your own, or take that part as json.RawMessage", t)
	}
	d.within[t] = true
	defer delete(d.within, t)
	if s := marshaled(t); s != nil {
		d.known[t] = s
		return nil
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("type %s has no JSON: take something else, or leave the field out by the tag json:\"-\"", t)
	case reflect.Map:
		if t.Key().Kind() != reflect.String && !t.Key().Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return fmt.Errorf("type %s: the keys of a JSON object are strings", t)
		}
		return d.learn(t.Elem())
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return d.learn(t.Elem())
	case reflect.Struct:
		s, err := d.object(t)
		if err != nil {
			return err
		}
		d.known[t] = s
	}
	return nil
}

// anything takes any JSON. It is no empty schema, because the library makes of a pointer to
// one what takes null alone.
var anything = jsonschema.Schema{Types: []string{"null", "boolean", "object", "array", "number", "string"}}

// marshaled is the schema of a type which encoding/json does not take apart, or nil.
func marshaled(t reflect.Type) *jsonschema.Schema {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return nil
	}
	p := reflect.PointerTo(t)
	switch {
	case p.Implements(reflect.TypeFor[json.Unmarshaler]()), p.Implements(reflect.TypeFor[json.Marshaler]()):
		return &anything
	case p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()), p.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &jsonschema.Schema{Type: "string"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return &jsonschema.Schema{Types: []string{"null", "string"}, ContentEncoding: "base64"}
	}
	return nil
}

// object derives a struct, whose fields the library sees without their jsonschema tags.
func (d *deriver) object(t reflect.Type) (*jsonschema.Schema, error) {
	fields := jsonFields(t)
	bare := make([]reflect.StructField, len(fields))
	for i, f := range fields {
		if f.Tag.Get("json") == "-" {
			f.Type = reflect.TypeFor[bool]() // which nobody will see
		}
		bare[i] = reflect.StructField{Name: f.Name, Type: f.Type, Tag: reflect.StructTag(fmt.Sprintf("json:%q", f.Tag.Get("json")))}
		if err := d.learn(f.Type); err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, t, err)
		}
	}
	s, err := jsonschema.ForType(reflect.StructOf(bare), &jsonschema.ForOptions{TypeSchemas: d.known})
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", t, err)
	}
	for _, f := range fields {
		name, options := jsonName(f)
		property := s.Properties[name]
		if property == nil {
			continue
		}
		if slices.Contains(options, "string") {
			quote(property)
		}
		tag, ok := f.Tag.Lookup("jsonschema")
		if !ok {
			continue
		}
		if err := bound(property, tag); err != nil {
			return nil, fmt.Errorf("field %s of %s, tag jsonschema:%q: %w", f.Name, t, tag, err)
		}
		if property.Default != nil { // it may be left out
			s.Required = slices.DeleteFunc(s.Required, func(r string) bool { return r == name })
		}
	}
	return s, nil
}

// quote has a number or a boolean stand in a string, as the option "string" of a json tag does.
func quote(s *jsonschema.Schema) {
	types := append([]string{s.Type}, s.Types...)
	if !slices.ContainsFunc(types, func(t string) bool { return t == "integer" || t == "number" || t == "boolean" }) {
		return
	}
	*s = jsonschema.Schema{Type: "string"}
	if slices.Contains(types, "null") {
		*s = jsonschema.Schema{Types: []string{"null", "string"}}
	}
}

// jsonFields are the fields of a struct as encoding/json sees them: those of an embedded
// struct stand for it, unless it has a name of its own.
func jsonFields(t reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	var named [][]int // embedded under a name: what they hold is not promoted
	for _, f := range reflect.VisibleFields(t) {
		inner := slices.ContainsFunc(named, func(at []int) bool { return len(f.Index) > len(at) && slices.Equal(f.Index[:len(at)], at) })
		if inner || f.Anonymous && embedsFields(f) {
			continue
		}
		if f.Anonymous {
			named = append(named, f.Index)
		}
		if f.IsExported() {
			fields = append(fields, f)
		}
	}
	return fields
}

func embedsFields(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return t.Kind() == reflect.Struct && name == ""
}

// jsonName is a field's name in JSON and the options of its tag; "" if it has none there.
func jsonName(f reflect.StructField) (name string, options []string) {
	tag := f.Tag.Get("json")
	if tag == "-" {
		return "", nil
	}
	parts := strings.Split(tag, ",")
	if parts[0] == "" {
		return f.Name, parts[1:]
	}
	return parts[0], parts[1:]
}
