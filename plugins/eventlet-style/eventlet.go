// Package eventlet is the executor that runs scripts as goroutines of the
// process it is in, in a bounded pool. It is what most tasks want: no process
// to start, no wire to cross.
package eventlet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// Name is what an operator writes as plugin = "eventlet-style".
const Name = "eventlet-style"

const (
	defaultPool = 1000
	maxPool     = 1_000_000
	// patience is how long a script may take to return once its context has
	// ended, before it is spoken of.
	patience = 5 * time.Second
)

// Factory makes a script of its own part of the config.
type Factory struct {
	// Name is the script's task type, and its key below scripts in the config.
	Name string
	// New gets a Config whose attributes are those of scripts.NAME alone, none
	// if the operator wrote nothing. It should refuse keys that it does not know.
	New func(sdk.Config) (sdk.Script, error)
}

// Of makes a Factory of a script that needs no config.
func Of(s sdk.Script) Factory {
	return Factory{Name: s.Name, New: func(cfg sdk.Config) (sdk.Script, error) {
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
	return sdk.Plugin{Name: Name, Version: version,
		New:   func(cfg sdk.Config) (sdk.Executor, error) { return open(cfg, scripts) },
		Check: func(cfg sdk.Config) error { _, err := open(cfg, scripts); return err },
	}
}

type config struct {
	PoolSize int                        `json:"pool_size"`
	Scripts  map[string]json.RawMessage `json:"scripts"`
}

func open(cfg sdk.Config, factories []Factory) (sdk.Executor, error) {
	c := config{PoolSize: defaultPool}
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	if c.PoolSize < 1 || c.PoolSize > maxPool {
		return nil, fmt.Errorf("pool_size: %d is not within 1 to %d", c.PoolSize, maxPool)
	}
	if cfg.Slots > 0 {
		c.PoolSize = cfg.Slots
	}
	made := make([]sdk.Script, 0, len(factories))
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
		s, err := f.New(cfg.Sub(attributes(c.Scripts[f.Name])))
		if err != nil {
			return nil, fmt.Errorf("scripts.%s: %w", f.Name, err)
		}
		if s.Name != f.Name {
			return nil, fmt.Errorf("scripts.%s: the script calls itself %q", f.Name, s.Name)
		}
		made = append(made, s)
	}
	return newPool(made, c.PoolSize, cfg.Log)
}

// attributes are what scripts.NAME holds; null is what an empty block may become.
func attributes(data json.RawMessage) []byte {
	if string(data) == "null" {
		return nil
	}
	return data
}

var _ sdk.Executor = (*pool)(nil)

// Describe offers the scripts, and a slot for each place in the pool.
func (p *pool) Describe(ctx context.Context) (sdk.Info, error) {
	info, err := p.scripts.Describe(ctx)
	info.Slots = cap(p.places)
	return info, err
}
