package sdk

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
)

// ConfigSchema makes a Plugin's ConfigSchema of the struct that New decodes its config into:
// defaults is one that holds what is in force where the operator says nothing. A key is
// described by its field's jsonschema tag, and optional: what must be there, New says. It
// panics if no schema can be derived, which is a mistake of the program.
func ConfigSchema(defaults any) json.RawMessage {
	data, err := configSchema(defaults)
	if err != nil {
		panic(fmt.Sprintf("sdk.ConfigSchema(%T): %v", defaults, err))
	}
	return data
}

func configSchema(defaults any) (json.RawMessage, error) {
	s, err := schemaOf(reflect.TypeOf(defaults))
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(defaults)
	if err != nil {
		return nil, err
	}
	if err := setDefaults(s, data); err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// setDefaults has s say what holds where a key is left out, which requires none.
func setDefaults(s *jsonschema.Schema, object json.RawMessage) error {
	s.Required = nil
	if s.Items != nil {
		if err := setDefaults(s.Items, nil); err != nil {
			return err
		}
	}
	if s.AdditionalProperties != nil {
		if err := setDefaults(s.AdditionalProperties, nil); err != nil {
			return err
		}
	}
	var values map[string]json.RawMessage
	if len(object) > 0 && string(object) != "null" {
		if err := json.Unmarshal(object, &values); err != nil {
			return err
		}
	}
	for name, p := range s.Properties {
		value := values[name]
		if len(p.Properties) > 0 {
			if err := setDefaults(p, value); err != nil {
				return err
			}
			continue
		}
		if err := setDefaults(p, nil); err != nil {
			return err
		}
		if len(value) > 0 && !slices.Contains(zeroValues[:], string(value)) {
			p.Default = value
		}
	}
	return nil
}

// zeroValues are not shown as defaults: they stand where a key has none.
var zeroValues = [...]string{"null", `""`, "0", `"0s"`, "false", "[]", "{}"}
