package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/taskhost/taskhost/host/task"
)

// validator checks inputs against a type's JSON Schema. A nil one takes any JSON.
type validator struct {
	schema *jsonschema.Schema
}

func newValidator(name string, schema json.RawMessage) (*validator, error) {
	if len(schema) == 0 {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("input schema of task type %q: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	const url = "taskhost:input"
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("input schema of task type %q: %w", name, err)
	}
	s, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("input schema of task type %q: %w", name, err)
	}
	return &validator{schema: s}, nil
}

// noLoader refuses references to other documents: a plugin's schema must not
// have the host read files or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema may not refer to %q", url)
}

// check gives an invalid_input error with a pointer to each fault.
func (v *validator) check(typ string, input json.RawMessage) error {
	if v == nil {
		if len(input) > 0 && !json.Valid(input) {
			return &task.Error{Code: task.CodeInvalidInput, Message: "the input is not JSON", Fields: []task.FieldError{{Pointer: "/input", Message: "is not JSON"}}}
		}
		return nil
	}
	if len(input) == 0 {
		input = json.RawMessage("null")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(input))
	if err != nil {
		return &task.Error{Code: task.CodeInvalidInput, Message: "the input is not JSON: " + err.Error(), Fields: []task.FieldError{{Pointer: "/input", Message: "is not JSON"}}}
	}
	var bad *jsonschema.ValidationError
	if err := v.schema.Validate(doc); errors.As(err, &bad) {
		e := &task.Error{Code: task.CodeInvalidInput}
		leaves(bad, message.NewPrinter(language.English), &e.Fields)
		e.Message = fmt.Sprintf("the input does not match the schema of task type %q: %s %s", typ, e.Fields[0].Pointer, e.Fields[0].Message)
		return e
	} else if err != nil {
		return &task.Error{Code: task.CodeInvalidInput, Message: err.Error()}
	}
	return nil
}

// leaves gathers the faults that have no deeper cause.
func leaves(e *jsonschema.ValidationError, p *message.Printer, out *[]task.FieldError) {
	if len(e.Causes) == 0 {
		var ptr strings.Builder
		ptr.WriteString("/input")
		for _, part := range e.InstanceLocation {
			ptr.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
		}
		*out = append(*out, task.FieldError{Pointer: ptr.String(), Message: e.ErrorKind.LocalizedString(p)})
		return
	}
	for _, c := range e.Causes {
		leaves(c, p, out)
	}
}
