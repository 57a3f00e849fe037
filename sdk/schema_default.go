package sdk

import (
	"encoding/json"

	"github.com/google/jsonschema-go/jsonschema"
)

// withDefaults is an input in which what was left out has the default of its schema. What
// does not match the schema stays as it is: the host has refused it, or its decoder will.
func withDefaults(s *jsonschema.Schema, input json.RawMessage) json.RawMessage {
	if !hasDefaults(s) {
		return input
	}
	var list []json.RawMessage
	var object map[string]json.RawMessage
	var whole any
	switch {
	case s.Items != nil && json.Unmarshal(input, &list) == nil && list != nil:
		for i, item := range list {
			list[i] = withDefaults(s.Items, item)
		}
		whole = list
	case s.Items == nil && json.Unmarshal(input, &object) == nil && object != nil:
		fillIn(s, object)
		whole = object
	default:
		return input
	}
	filled, err := json.Marshal(whole)
	if err != nil {
		return input
	}
	return filled
}

// fillIn is withDefaults for the properties of an object, or the values of a map.
func fillIn(s *jsonschema.Schema, object map[string]json.RawMessage) {
	for name, property := range s.Properties {
		value, given := object[name]
		switch {
		case given:
		case property.Default != nil:
			value = property.Default
		case property.Type == "object" && hasDefaults(property):
			value = json.RawMessage("{}")
		default:
			continue
		}
		object[name] = withDefaults(property, value)
	}
	for name, value := range object {
		if s.Properties == nil {
			object[name] = withDefaults(s.AdditionalProperties, value)
		}
	}
}

// hasDefaults says whether something within s has a default.
func hasDefaults(s *jsonschema.Schema) bool {
	if s == nil {
		return false
	}
	for _, property := range s.Properties {
		if property.Default != nil || hasDefaults(property) {
			return true
		}
	}
	return hasDefaults(s.Items) || hasDefaults(s.AdditionalProperties)
}
