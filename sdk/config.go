package sdk

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// Config is what an executor is made with: its own block of the operator's
// config, and what the host tells it of its place.
type Config struct {
	// Executor is the name of the executor block, such as "images".
	Executor string
	// DataDir is a directory that is the executor's alone, made by the host with
	// mode 0700. Without an operator's word, state goes here.
	DataDir string
	// HostURL is where the host's REST can be reached, if it can.
	HostURL string
	// Slots is the operator's limit on concurrent attempts; 0 if not set.
	Slots int
	// Log is the executor's own log, for lines that belong to no attempt.
	Log hclog.Logger

	data    []byte
	changed func()
}

// NewConfig makes a Config of the block's attributes as one JSON object (empty
// means none). changed is what Changed calls; it may be nil. The host and tests
// call it; executors only receive Configs.
func NewConfig(executor string, data []byte, changed func()) Config {
	return Config{Executor: executor, Log: hclog.NewNullLogger(), data: data, changed: changed}
}

// Decode reads the config into v, which holds the defaults before. Unknown keys
// are refused by name: a typo must not silently leave a default in force. Durations and
// sizes are the field types' own business.
func (c Config) Decode(v any) error {
	data := c.data
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	if err := decodeStrict(data, v); err != nil {
		return fmt.Errorf("config of executor %q: %s", c.Executor, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// JSON is the block's attributes as one JSON object.
func (c Config) JSON() []byte { return c.data }

// Sub is the same Config with other attributes, for an executor that hands parts
// of its block on.
func (c Config) Sub(data []byte) Config {
	c.data = data
	return c
}

// Changed has the host ask Describe again, because the executor's offer changed
// (workers came or went). It never blocks and may be called at any time.
func (c Config) Changed() {
	if c.changed != nil {
		c.changed()
	}
}
