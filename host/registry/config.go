package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	neturl "net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// CheckConfig says what is wrong with a config, one JSON object, by the schema that its
// plugin declares: maxFaults at the most, each with the path to its key and what completes a
// sentence about it. A key whose value is null was not set. The error says that the schema
// is none, which is the plugin's fault.
func CheckConfig(ctx context.Context, schema, config json.RawMessage) ([]task.FieldError, error) {
	if len(schema) == 0 {
		return nil, nil
	}
	v, err := compileValidator(schema)
	if err != nil {
		return nil, fmt.Errorf("the schema that the plugin declares for its config is none: %s", cut(err.Error(), maxSchemaError))
	}
	if len(config) == 0 {
		config = json.RawMessage("{}")
	}
	if err := task.BoundJSON(config); err != nil {
		return nil, fmt.Errorf("the config %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("the config is not JSON: %w", err)
	}
	err = v.validate(ctx, context.Background(), withoutNulls(doc), len(config))
	var bad *jsonschema.ValidationError
	if !errors.As(err, &bad) {
		return nil, err
	}
	f := configFaults{schema: v.doc, printer: message.NewPrinter(language.English)}
	f.add(bad)
	if len(f.found) == 0 { // of a branch of which only the verdict is known
		f.found = []task.FieldError{{Message: notMatching}}
	}
	return f.found, nil
}

// withoutNulls is v without the members of objects that are null.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, e any) bool { return e == nil })
		for _, e := range v {
			withoutNulls(e)
		}
	case []any:
		for _, e := range v {
			withoutNulls(e)
		}
	}
	return v
}

type configFaults struct {
	schema  any
	printer *message.Printer
	found   []task.FieldError
}

func (f *configFaults) add(e *jsonschema.ValidationError) {
	for _, c := range e.Causes {
		f.add(c)
	}
	if len(e.Causes) > 0 || len(f.found) >= maxFaults {
		return
	}
	at := f.schemaAt(e.SchemaURL)
	switch k := e.ErrorKind.(type) {
	case nil, moreFaults:
	case *kind.AdditionalProperties:
		f.addUnknown(e.InstanceLocation, k.Properties, at)
	default:
		fault := task.FieldError{Path: e.InstanceLocation, Message: cut(f.message(k, at), maxFaultMessage)}
		same := func(of task.FieldError) bool { return of.Message == fault.Message && slices.Equal(of.Path, fault.Path) }
		if !slices.ContainsFunc(f.found, same) { // a format and a bound may say the same
			f.found = append(f.found, fault)
		}
	}
}

// addUnknown adds a fault for each key that an object has and its schema has not.
func (f *configFaults) addUnknown(object, unknown []string, schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	known := slices.Sorted(maps.Keys(properties))
	slices.Sort(unknown)
	for _, name := range unknown {
		if len(f.found) >= maxFaults {
			return
		}
		text := "is not known here"
		switch near := task.Nearest(name, known); {
		case near != "":
			text += fmt.Sprintf("; did you mean %q?", near)
		case len(known) == 0:
			text += ", where there are no keys"
		default:
			text += "; there are " + strings.Join(known, ", ")
		}
		f.found = append(f.found, task.FieldError{Path: append(slices.Clone(object), name), Message: cut(text, maxFaultMessage)})
	}
}

// message completes the sentence "KEY …", without the value, which may be a secret.
func (f *configFaults) message(k jsonschema.ErrorKind, schema map[string]any) string {
	if format, _ := schema["format"].(string); configFormats[format] != "" {
		return configFormats[format]
	}
	switch k := k.(type) {
	case *kind.Type:
		var want []string
		for _, t := range k.Want {
			if w := typeWords[t]; w != "" {
				want = append(want, w)
			}
		}
		return "is " + strings.Join(want, ", or ")
	case *kind.Minimum:
		return "is " + numberText(k.Want) + " at the least"
	case *kind.Maximum:
		return "is " + numberText(k.Want) + " at the most"
	case *kind.Enum:
		var want []string
		for _, v := range k.Want {
			text, _ := json.Marshal(v) // it came from JSON
			want = append(want, string(text))
		}
		return "is one of " + strings.Join(want, ", ")
	}
	return "is not as it should be: " + faultMessage(k, f.printer)
}

func numberText(n interface{ FloatString(prec int) string }) string {
	text := n.FloatString(6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// typeWords says what a value of each of JSON's types is in a config.
var typeWords = map[string]string{
	"string": "a text in quotes", "integer": "a whole number", "number": "a number", "boolean": "true or false, without quotes",
	"array": "a list in [ ]", "object": "keys with values in { }",
}

// configFormats says what a value of each of the SDK's formats is.
var configFormats = map[string]string{
	sdk.FormatDuration: `is a duration such as "30s", "10m" or "48h"`,
	sdk.FormatSize:     `is a size such as "512KiB" or "4MiB", or a number of bytes`,
	sdk.FormatPath:     "is the path of a file or directory, in quotes",
}

// registerConfigFormats has the library check them.
func registerConfigFormats(c *jsonschema.Compiler) {
	for name, value := range map[string]func() json.Unmarshaler{
		sdk.FormatDuration: func() json.Unmarshaler { return new(sdk.Duration) },
		sdk.FormatSize:     func() json.Unmarshaler { return new(sdk.Size) },
	} {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(v any) error {
			text, err := json.Marshal(v)
			if err != nil {
				return err
			}
			return value().UnmarshalJSON(text)
		}})
	}
}

// schemaAt is the part of the schema at url; nil if it is not within this document.
func (f *configFaults) schemaAt(url string) map[string]any {
	pointer, ok := strings.CutPrefix(url, schemaURL+"#")
	if !ok {
		return nil
	}
	at := f.schema
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if part == "" {
			continue
		}
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		if part, err := neturl.PathUnescape(part); err == nil {
			at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
		}
	}
	object, _ := at.(map[string]any)
	return object
}
