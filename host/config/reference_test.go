package config

import (
	"slices"
	"strings"
	"testing"
)

func testReference(t *testing.T) []Key {
	t.Helper()
	keys, err := Reference([]PluginSchema{
		{"goroutines", []byte(`{"type":"object","additionalProperties":false,"properties":{
			"pool":{"type":"integer","minimum":1,"maximum":9,"default":5,"description":"how many at once"},
			"scripts":{"type":"object","properties":{"http":{"type":"object","properties":{"timeout":{"type":"string","format":"go-duration"}}},"sum":{"type":"object","additionalProperties":false}}},
			"hosts":{"type":["null","array"],"items":{"type":"string"}},"secrets":{"type":"object","additionalProperties":{"type":"string"}},
			"mode":{"enum":["a","b"]},"any":true}}`)},
		{"queue", []byte(`{"properties":{"url":{"type":["integer","string"],"format":"byte-size"},"n":{"type":"number","minimum":0}}}`)},
		{"silent", nil},
	}, []byte(`{"properties":{"join":{"type":"string","format":"file-path","description":"a host's directory"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Every key of a file is explained, with what it may be and what holds without it.
func TestReference(t *testing.T) {
	keys := testReference(t)
	got := map[string]Key{}
	for _, k := range keys {
		name := k.Path
		if k.Plugin != "" {
			name = k.Plugin + " " + strings.TrimPrefix(k.Path, "executor.NAME.config.")
		} else if k.About == "" {
			t.Errorf("%s is not explained: comment the field that it sets, and run make generate", name)
		}
		if _, twice := got[name]; twice {
			t.Errorf("%s stands twice", name)
		}
		if !k.Block && k.Value == "" && name != "goroutines any" {
			t.Errorf("%s: what may it be?", name)
		}
		got[name] = k
	}
	for name, want := range map[string]Key{
		"listen":                          {Default: `"127.0.0.1:7070"`, Files: []string{"server"}, Variable: "TASKHOST_LISTEN", Flag: "--listen"},
		"data_dir":                        {Files: []string{"server", "worker"}, Variable: "TASKHOST_DATA_DIR", Flag: "--data-dir"},
		"log_format":                      {Default: `"text"`, Files: []string{"server", "worker"}, Variable: "TASKHOST_LOG_FORMAT"},
		"drain_timeout":                   {Default: `"5s"`, Files: []string{"server"}},
		"allow_writable_plugins":          {Default: "false", Files: []string{"server", "worker"}},
		"plugin_env":                      {Files: []string{"server", "worker"}},
		"name":                            {Files: []string{"worker"}},
		"labels":                          {Files: []string{"worker"}},
		"executor.NAME":                   {Files: []string{"server", "worker"}, Block: true},
		"executor.NAME.slots":             {Files: []string{"server", "worker"}},
		"executor.NAME.on_host_exit":      {Default: `"die"`, Files: []string{"server", "worker"}},
		"task_type.NAME.max_lost":         {Default: "3", Files: []string{"server"}},
		"task_type.NAME.retain":           {Default: `"48h"`, Files: []string{"server"}},
		"task_type.NAME.max_input":        {Default: `"1MiB"`, Files: []string{"server"}},
		"task_type.NAME.priority":         {Default: "0", Files: []string{"server"}},
		"task_type.NAME.queue_limit":      {Files: []string{"server"}},
		"task_type.NAME.backoff_max":      {Default: `"5m"`, Files: []string{"server"}},
		"queue":                           {Files: []string{"worker"}, Block: true},
		"queue.join":                      {Files: []string{"worker"}, Value: "a path in quotes", About: "A host's directory."},
		"goroutines pool":                 {Default: "5", Value: "a whole number from 1 to 9", About: "How many at once.", Files: []string{"server", "worker"}},
		"goroutines scripts.http.timeout": {Value: `a duration such as "30s", "10m" or "48h"`, Files: []string{"server", "worker"}},
		"goroutines hosts":                {Value: "a list, each a string in quotes", Files: []string{"server", "worker"}},
		"goroutines secrets":              {Value: "names, each with a string in quotes", Files: []string{"server", "worker"}},
		"goroutines mode":                 {Value: `one of "a", "b"`, Files: []string{"server", "worker"}},
		"queue url":                       {Value: `a size such as "512KiB" or "4MiB", or a number of bytes`, Files: []string{"server", "worker"}},
		"queue n":                         {Value: "a number, 0 at the least", Files: []string{"server", "worker"}},
	} {
		k, ok := got[name]
		if !ok || k.Default != want.Default || k.Variable != want.Variable || k.Flag != want.Flag || !slices.Equal(k.Files, want.Files) || k.Block != want.Block ||
			want.Value != "" && k.Value != want.Value || want.About != "" && k.About != want.About {
			t.Errorf("%s: %+v, want %+v", name, k, want)
		}
	}
	for _, none := range []string{"goroutines scripts", "goroutines scripts.sum"} { // which their keys explain, or which have none
		if _, ok := got[none]; ok {
			t.Errorf("%s stands in the reference", none)
		}
	}
	if !strings.HasPrefix(got["plugin_dir"].About, "The directory that holds") || !strings.HasPrefix(got["executor.NAME"].About, "An executor block:") {
		t.Errorf("explained: %q, %q", got["plugin_dir"].About, got["executor.NAME"].About)
	}
	if _, err := Reference([]PluginSchema{{"bad", []byte(`{"properties":7}`)}}, nil); err == nil || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("a schema that is none: %v", err)
	}
}

// A key is found by any part of what leads to it, with the names that operators give.
func TestFindKeys(t *testing.T) {
	keys := testReference(t)
	for name, want := range map[string][]string{
		"listen":                         {"listen"},
		"slots":                          {"executor.NAME.slots"},
		"executor.slots":                 {"executor.NAME.slots"},
		"executor.local.slots":           {"executor.NAME.slots"},
		"task_type.import.timeout":       {"task_type.NAME.timeout"},
		"timeout":                        {"executor.NAME.config.scripts.http.timeout", "task_type.NAME.timeout"},
		"scripts.http.timeout":           {"executor.NAME.config.scripts.http.timeout"},
		"executor.x.config.scripts.http": {"executor.NAME.config.scripts.http.timeout"},
		"goroutines.pool":                {"executor.NAME.config.pool"},
		"queue.url":                      {"executor.NAME.config.url"},
		"queue.join":                     {"queue.join"},
		"task_type.banana.retain":        {"task_type.NAME.retain"},
		"queue":                          {"executor.NAME.config.n", "executor.NAME.config.url", "queue", "queue.join"},
	} {
		found, near := FindKeys(keys, name)
		var got []string
		for _, k := range found {
			got = append(got, k.Path)
		}
		if !slices.Equal(got, want) || near != "" {
			t.Errorf("%s: found %q, near %q; want %q", name, got, near, want)
		}
	}
	for _, name := range []string{"executor", "executor.images"} {
		if found, near := FindKeys(keys, name); len(found) < 10 || found[0].Path != "executor.NAME" {
			t.Errorf("a block brings %d keys, or is near %q", len(found), near)
		}
	}
	for name, want := range map[string]string{"lisen": "listen", "executor.slot": "executor.slots", "scripts.htp": "scripts.http", "banana": "", "local": "", "": ""} {
		if found, near := FindKeys(keys, name); len(found) > 0 || near != want {
			t.Errorf("%s: found %d, near %q, want %q", name, len(found), near, want)
		}
	}
}
