package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schemaNode is what the reference shows of a JSON Schema.
type schemaNode struct {
	Types       typeNames             `json:"type"`
	Format      string                `json:"format"`
	Description string                `json:"description"`
	Default     json.RawMessage       `json:"default"`
	Enum        []json.RawMessage     `json:"enum"`
	Minimum     *json.Number          `json:"minimum"`
	Maximum     *json.Number          `json:"maximum"`
	Properties  map[string]schemaNode `json:"properties"`
	Items       *schemaNode           `json:"items"`
	Additional  *schemaNode           `json:"additionalProperties"`
	// nothing says that the schema is false.
	nothing bool
}

// UnmarshalJSON also reads a schema that is true or false, which says nothing.
func (n *schemaNode) UnmarshalJSON(data []byte) error {
	if n.nothing = string(data) == "false"; n.nothing || string(data) == "true" {
		return nil
	}
	type plain schemaNode // without this method
	return json.Unmarshal(data, (*plain)(n))
}

// typeNames is a type or several.
type typeNames []string

// UnmarshalJSON reads both.
func (t *typeNames) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = typeNames{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// schema adds the keys of which a schema tells, by name.
func (r *reference) schema(path, plugin string, files []string, schema json.RawMessage) error {
	if len(schema) == 0 {
		return nil
	}
	var n schemaNode
	if err := json.Unmarshal(schema, &n); err != nil {
		return fmt.Errorf("its schema: %w", err)
	}
	r.properties(path, plugin, files, &n)
	return nil
}

func (r *reference) properties(path, plugin string, files []string, n *schemaNode) {
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		p := n.Properties[name]
		k := Key{Path: path + name, Plugin: plugin, Files: files, Value: p.words(), About: sentence(p.Description)}
		if len(p.Default) > 0 {
			k.Default = string(p.Default)
		}
		if len(p.Properties) == 0 && !p.isEmptyObject() || k.About != "" { // else its keys say all
			r.keys = append(r.keys, k)
		}
		r.properties(path+name+".", plugin, files, &p)
	}
}

// isEmptyObject says that there is nothing to write in it.
func (n *schemaNode) isEmptyObject() bool {
	return slices.Equal(n.Types, typeNames{"object"}) && len(n.Properties) == 0 && n.Additional != nil && n.Additional.nothing
}

// words say what a value is.
func (n *schemaNode) words() string {
	if len(n.Enum) > 0 {
		var of []string
		for _, e := range n.Enum {
			of = append(of, string(e))
		}
		return "one of " + strings.Join(of, ", ")
	}
	if w := formatWords[n.Format]; w != "" {
		return w
	}
	var of []string
	for _, t := range n.Types {
		switch {
		case t == "null":
		case t == "array" && n.Items != nil:
			of = append(of, "a list, each "+n.Items.words())
		case t == "object" && n.Additional != nil && len(n.Properties) == 0 && len(n.Additional.Types) > 0:
			of = append(of, "names, each with "+n.Additional.words())
		default:
			of = append(of, typeWords[t])
		}
	}
	text := strings.Join(of, ", or ")
	switch {
	case n.Minimum != nil && n.Maximum != nil:
		text += fmt.Sprintf(" from %s to %s", *n.Minimum, *n.Maximum)
	case n.Minimum != nil:
		text += fmt.Sprintf(", %s at the least", *n.Minimum)
	case n.Maximum != nil:
		text += fmt.Sprintf(", %s at the most", *n.Maximum)
	}
	return text
}

// formatWords say what is of the formats by which plugins name the values of a config.
var formatWords = map[string]string{
	"go-duration": `a duration such as "30s", "10m" or "48h"`,
	"byte-size":   `a size such as "512KiB" or "4MiB", or a number of bytes`,
	"file-path":   "a path in quotes",
}

var typeWords = map[string]string{
	"string": "a string in quotes", "integer": "a whole number", "number": "a number", "boolean": "true or false, without quotes",
	"array": "a list", "object": "keys with values in { }",
}
