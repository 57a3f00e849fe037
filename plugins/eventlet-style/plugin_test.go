package eventlet

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// The block's schema holds that of each script, and takes whatever else a script takes that
// declares none.
func TestConfigSchemaHoldsTheScripts(t *testing.T) {
	type own struct {
		Greeting string `json:"greeting" jsonschema:"what is said"`
	}
	p := Plugin("1", Factory{Name: "greet", ConfigSchema: sdk.ConfigSchema(own{"hello"})}, Factory{Name: "free"}, FactoryOf(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "plain"}}))
	if !slices.Equal(p.Types, []string{"greet", "free", "plain"}) || p.Nodes {
		t.Errorf("types %q, nodes %v", p.Types, p.Nodes)
	}
	type object struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Additional any                        `json:"additionalProperties"`
	}
	read := func(data json.RawMessage) (o object) {
		t.Helper()
		if err := json.Unmarshal(data, &o); err != nil {
			t.Fatalf("%v in %s", err, p.ConfigSchema)
		}
		return o
	}
	block := read(p.ConfigSchema)
	scripts := read(block.Properties["scripts"])
	plain := read(scripts.Properties["plain"])
	if len(block.Properties) != 2 || block.Additional == nil || scripts.Additional != false || len(scripts.Properties) != 3 || len(plain.Properties) != 0 || plain.Additional == nil {
		t.Errorf("schema %s", p.ConfigSchema)
	}
	if string(scripts.Properties["free"]) != "true" || !strings.Contains(string(scripts.Properties["greet"]), `"default":"hello"`) || !strings.Contains(string(block.Properties["pool_size"]), `"default":1000`) {
		t.Errorf("schema %s", p.ConfigSchema)
	}
}
