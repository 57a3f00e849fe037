package script

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiled(t *testing.T, text string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the script refuses of an input is refused when it is submitted.
func TestInputSchema(t *testing.T) {
	s := compiled(t, inputSchema)
	for text, good := range map[string]bool{
		`{"import_from": "x"}`:                                                                                               true,
		`{"import_from": "x", "allow_any": false}`:                                                                           true,
		`{"import_from": "x", "allow_any": true, "import_from_format": "raw"}`:                                               true,
		`{"import_from": "x", "allow_any": false, "import_from_format": "qcow2"}`:                                            true,
		`{"import_from": "x", "import_from_format": "raw", "image_properties": {"os": "x"}, "checksum": "md5:` + md5x + `"}`: true,
		`{"import_from": "x", "image_properties": {"min_disk": 10, "os_hidden": true, "os": null}}`:                          true,
		`{"import_from": "x", "image_properties": {"os": {}}}`:                                                               false,
		`{"import_from": "x", "allow_any": true}`:                                                                            false,
		`{"import_from": "x", "allow_any": true, "import_from_format": "auto"}`:                                              false,
		`{"import_from": "x", "allow_any": true, "import_from_format": "qcow2"}`:                                             false,
		`{"import_from": "x", "allow_any": "yes", "import_from_format": "raw"}`:                                              false,
		`{"import_from": "x", "import_from_format": "vmdk"}`:                                                                 false,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

const md5x = "9dd4e461268c8034f5c8564e155c67a6"

func TestResultSchema(t *testing.T) {
	s := compiled(t, resultSchema)
	for _, out := range []output{{ImageID: "x", DiskFormat: formatQCOW2}, {ImageID: "x", DiskFormat: formatRaw, Recognized: "luks"}} {
		data, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
}
