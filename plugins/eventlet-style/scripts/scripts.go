// Package scripts holds the scripts that eventlet-style brings along.
package scripts

import (
	"context"
	"encoding/json"

	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/plugins/import/script"
	"github.com/taskhost/taskhost/sdk"
)

// All lists the built-in scripts: import, http, noop, sleep and sum.
func All() []eventlet.Factory {
	return []eventlet.Factory{
		{Name: "import", ConfigSchema: script.ConfigSchema(), New: script.Script},
		{Name: "http", ConfigSchema: sdk.ConfigSchema(defaultHTTPConfig()), New: HTTP},
		eventlet.FactoryOf(Noop()),
		eventlet.FactoryOf(Sleep()),
		eventlet.FactoryOf(Sum()),
	}
}

// Noop does nothing, with any input. It measures the way there and back.
func Noop() sdk.Script {
	return sdk.Script{
		TypeInfo: sdk.TypeInfo{Name: "noop", Description: "Does nothing."},
		Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
			return sdk.Result{}, nil
		},
		Undo: func(context.Context, sdk.Task, sdk.Reporter) error { return nil },
	}
}

// schema is a JSON Schema written as text.
func schema(text string) json.RawMessage { return json.RawMessage(text) }
