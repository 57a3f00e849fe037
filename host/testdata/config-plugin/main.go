// Config-plugin is a plugin for tests of configs: it declares the schema of its own, and
// leaves a file where an executor is made.
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/taskhost/taskhost/sdk"
)

type config struct {
	Dir   sdk.Path     `json:"dir" jsonschema:"where the file made is left"`
	Limit sdk.Size     `json:"limit"`
	Every sdk.Duration `json:"every"`
}

func newExecutor(cfg sdk.Config) (sdk.Executor, error) {
	var c config
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	if c.Dir != "" {
		if err := os.WriteFile(filepath.Join(string(c.Dir), "made"), nil, 0o600); err != nil {
			return nil, err
		}
	}
	return sdk.NewScripts(sdk.Func("told", func(context.Context, struct{}, sdk.Reporter) (int, error) { return 1, nil }))
}

func main() {
	sdk.Serve(sdk.Plugin{Version: "1", ConfigSchema: sdk.ConfigSchema(config{Limit: 1 << 20}), Types: []string{"told"}, New: newExecutor})
}
