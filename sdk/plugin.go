package sdk

import "encoding/json"

// Plugin is an executor's code under a name: the same value is handed to Serve
// by a program of its own, or to the host to be built in.
type Plugin struct {
	// Name is what the operator writes as plugin = "name" for a built-in. A program is known by
	// the name of its file: Serve takes that, whatever stands here.
	Name string
	// Version is shown to operators. Of a process it is also the version of the task types
	// that say none, if it is a semantic one: see TypeInfo.Version.
	Version string
	// ConfigSchema is the JSON Schema of an executor block's config: make it with the
	// function of that name. The host knows it before there is an executor, and refuses a
	// config that does not match, with the key at fault and the one that was meant. nil says
	// nothing, and leaves all of it to New.
	ConfigSchema json.RawMessage
	// Types are the task types that each executor offers, whatever its config; nil if they
	// depend on that. By them `taskhost config validate` knows a type that nobody offers.
	Types []string
	// Nodes says that executors hand attempts on to nodes, so that routes decide over
	// something.
	Nodes bool
	// New makes an executor of one block of config. An error refuses the config
	// and should name the key at fault.
	New func(Config) (Executor, error)
	// Check says what is wrong with a config and makes nothing; nil if only New
	// can know. `taskhost config validate` asks it of built-ins.
	Check func(Config) error
	// Configured is Metadata for one config, where that decides what executors offer; nil if it
	// does not. Like Check it is asked of built-ins, after Check, which has found no fault.
	Configured func(Config) Metadata
}

// Metadata is what a plugin says of itself before it is configured; the zero value is a
// plugin's that says nothing.
type Metadata struct {
	Version      string          `json:"version,omitempty"`
	ConfigSchema json.RawMessage `json:"config_schema,omitempty"` // as of Plugin
	Types        []string        `json:"types,omitempty"`         // as of Plugin
	Nodes        bool            `json:"nodes,omitempty"`         // as of Plugin
	// StartUnknown is that of Info. Before an executor describes itself only a built-in can
	// say so.
	StartUnknown bool `json:"start_unknown,omitempty"`
}

// Metadata is what the plugin tells a host that does not configure it.
func (p Plugin) Metadata() Metadata {
	return Metadata{Version: p.Version, ConfigSchema: p.ConfigSchema, Types: p.Types, Nodes: p.Nodes}
}
