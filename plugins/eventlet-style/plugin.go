// Package eventlet is the executor that runs scripts as goroutines of the
// process it is in, in a bounded pool. It is what most tasks want: no process
// to start, no wire to cross.
package eventlet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// Name is what an operator writes as plugin = "eventlet-style".
const Name = "eventlet-style"

const (
	defaultPoolSize = 1000
	maxPoolSize     = 1_000_000
)

// Factory makes a script of its own part of the config.
type Factory struct {
	// Name is the script's task type, and its key below scripts in the config.
	Name string
	// ConfigSchema is the JSON Schema of its attributes, as of sdk.Plugin.
	ConfigSchema json.RawMessage
	// New gets a Config whose attributes are those of scripts.NAME alone, none
	// if the operator wrote nothing. It should refuse keys that it does not know.
	New func(sdk.Config) (sdk.Script, error)
}

// FactoryOf makes a Factory of a script that needs no config.
func FactoryOf(s sdk.Script) Factory {
	return Factory{Name: s.Name, ConfigSchema: sdk.ConfigSchema(struct{}{}), New: func(cfg sdk.Config) (sdk.Script, error) {
		return s, cfg.Decode(&struct{}{})
	}}
}

// Plugin makes the plugin that offers these scripts, all of them, whether the
// config names them or not. Its config is
//
//	pool_size = 1000          # unless the block has slots
//	scripts   = { NAME = { … } }
func Plugin(version string, scripts ...Factory) sdk.Plugin {
	scripts = slices.Clone(scripts)
	types := make([]string, len(scripts))
	for i, f := range scripts {
		types[i] = f.Name
	}
	return sdk.Plugin{Name: Name, Version: version, ConfigSchema: configSchema(scripts), Types: types,
		New:   func(cfg sdk.Config) (sdk.Executor, error) { return newExecutor(cfg, scripts) },
		Check: func(cfg sdk.Config) error { _, err := newExecutor(cfg, scripts); return err },
	}
}

// config is the block's attributes.
type config struct {
	PoolSize int                        `json:"pool_size" jsonschema:"minimum=1,maximum=1000000,description=how many scripts run at once, unless the executor has slots"`
	Scripts  map[string]json.RawMessage `json:"scripts" jsonschema:"what each script is configured with, by its name"`
}

func defaultConfig() config { return config{PoolSize: defaultPoolSize} }

// configSchema is the schema of the block with that of each script in it.
func configSchema(scripts []Factory) json.RawMessage {
	var block struct {
		Type       string                     `json:"type"`
		Properties map[string]json.RawMessage `json:"properties"`
		Additional json.RawMessage            `json:"additionalProperties"`
	}
	var part map[string]any // of the key scripts
	err := json.Unmarshal(sdk.ConfigSchema(defaultConfig()), &block)
	if err == nil {
		err = json.Unmarshal(block.Properties["scripts"], &part)
	}
	own := map[string]json.RawMessage{}
	for _, f := range scripts {
		if own[f.Name] = f.ConfigSchema; len(f.ConfigSchema) == 0 {
			own[f.Name] = json.RawMessage("true")
		}
	}
	part["properties"], part["additionalProperties"] = own, false
	var whole []byte
	if err == nil {
		block.Properties["scripts"], err = json.Marshal(part)
	}
	if err == nil {
		whole, err = json.Marshal(block)
	}
	if err != nil { // a script's schema is no JSON
		panic(fmt.Sprintf("eventlet.Plugin: the schema of its config: %v", err))
	}
	return whole
}

// newExecutor makes the pool of one block of config; Check does it too, and drops it.
func newExecutor(cfg sdk.Config, factories []Factory) (sdk.Executor, error) {
	c := defaultConfig()
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	if c.PoolSize < 1 || c.PoolSize > maxPoolSize {
		return nil, fmt.Errorf("pool_size: %d is not within 1 to %d", c.PoolSize, maxPoolSize)
	}
	if cfg.Slots > 0 {
		c.PoolSize = cfg.Slots
	}
	list := make([]sdk.Script, 0, len(factories))
	known := make([]string, 0, len(factories))
	for _, f := range factories {
		known = append(known, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Scripts)) {
		if !slices.Contains(known, name) {
			slices.Sort(known)
			return nil, fmt.Errorf("scripts: there is no script %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	for _, f := range factories {
		s, err := f.New(cfg.Sub(scriptAttributes(c.Scripts[f.Name]), "scripts", f.Name))
		if err != nil {
			return nil, fmt.Errorf("scripts.%s: %w", f.Name, err)
		}
		if s.Name != f.Name {
			return nil, fmt.Errorf("scripts.%s: the script calls itself %q", f.Name, s.Name)
		}
		list = append(list, s)
	}
	return newPool(list, c.PoolSize, cfg.Log)
}

// scriptAttributes are what scripts.NAME holds; null is what an empty block may become.
func scriptAttributes(data json.RawMessage) []byte {
	if string(data) == "null" {
		return nil
	}
	return data
}
