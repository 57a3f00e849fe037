package sdk

import (
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaOf derives the JSON Schema of a Go type.
func schemaOf(t reflect.Type) (*jsonschema.Schema, error) {
	return jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: configValues()})
}
