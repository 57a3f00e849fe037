package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// builtins are an executor that runs its tasks itself and one that hands them on.
func builtins() []sdk.Plugin {
	type local struct {
		Pool int `json:"pool"`
	}
	fine := sdk.Scripts(sdk.Func("fine", func(context.Context, struct{}, sdk.Reporter) (int, error) { return 1, nil }))
	return []sdk.Plugin{
		{Name: "local", ConfigSchema: sdk.ConfigSchema(local{}), Types: []string{"fine", "good"}, New: fine, Check: func(cfg sdk.Config) error {
			var c local
			if err := cfg.Decode(&c); err != nil {
				return err
			}
			if c.Pool < 0 {
				return errors.New("pool: less than none")
			}
			return nil
		}},
		{Name: "queue", Nodes: true, New: fine},
		{Name: "app", Nodes: true, New: fine, Configured: func(cfg sdk.Config) sdk.Metadata {
			var c struct{ Tasks []string }
			_ = cfg.Decode(&c)
			return sdk.Metadata{Types: c.Tasks, Nodes: true, StartUnknown: true}
		}},
	}
}

// Each thing that is wrong is found at its key, and says what to do. What nobody can know is
// not called wrong.
func TestCheck(t *testing.T) {
	dir := plugin(t, "config")
	for name, mode := range map[string]os.FileMode{"dies": 0o755, "no-run-bit": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho no fuel >&2\nexit 3\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	old := plugin(t, "noop") // it declares nothing
	for name, test := range map[string]struct {
		o         host.Options
		offline   bool
		want      []string // KEY: words of the detail; a warning begins with "warning "
		unchecked []string
	}{
		"all is well": {o: host.Options{
			Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local", Config: []byte(`{"pool":1}`)}, {Name: "b", Plugin: "config", Config: []byte(`{"every":"1s","limit":"1MiB"}`)}},
			Types:     map[string]task.TypeConfig{"fine": {Executor: "a"}, "told": {}}}},
		"a built-in's keys": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local", Config: []byte(`{"pol":1}`)}, {Name: "b", Plugin: "local", Config: []byte(`{"pool":-1}`)}},
			Types: map[string]task.TypeConfig{"fine": {Executor: "a"}, "good": {Executor: "b"}}},
			want: []string{`executor.a.config.pol: did you mean "pool"?`, "executor.b.config: Pool: less than none"}},
		"a process's keys": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "config", Config: []byte(`{"dirr":"x","every":30,"limit":"1MB"}`)}}},
			want: []string{`executor.b.config.dirr: did you mean "dir"?`, `executor.b.config.every: such as "30s"`, `executor.b.config.limit: such as "512KiB"`}},
		"two of one plugin": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "config", Config: []byte(`{"dirr":"x"}`)}, {Name: "c", Plugin: "config", Config: []byte(`{"evry":"1s"}`)}},
			Types: map[string]task.TypeConfig{"told": {Executor: "c"}}},
			want: []string{`executor.b.config.dirr: did you mean "dir"?`, `executor.c.config.evry: did you mean "every"?`}},
		"offline": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "config", Config: []byte(`{"dirr":"x"}`)}}, Types: map[string]task.TypeConfig{"tolt": {}}},
			offline: true, unchecked: []string{"b"}},
		"a plugin that says nothing": {o: host.Options{PluginDirs: []string{old}, Executors: []task.ExecutorConfig{{Name: "b", Plugin: "noop", Config: []byte(`{"a":1}`)}},
			Types: map[string]task.TypeConfig{"noop": {}, "any": {Executor: "b", Route: task.Route{"a": "b"}}}}, unchecked: []string{"b"}},
		"no such plugin":    {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "confg"}}}, want: []string{`executor.b.plugin: did you mean "config"?`}},
		"a built-in's typo": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "locall"}}}, want: []string{`executor.b.plugin: did you mean "local"?`}},
		"no run bit":        {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "no-run-bit"}}}, want: []string{"executor.b.plugin: chmod +x " + filepath.Join(dir, "no-run-bit")}},
		"does not come up":  {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "dies"}}}, want: []string{"executor.b.plugin: no fuel"}, unchecked: []string{"b"}},
		"another file":      {o: host.Options{Executors: []task.ExecutorConfig{{Name: "b", Plugin: "config", SHA256: strings.Repeat("0", 64)}}}, want: []string{"executor.b.sha256: write its sum here"}},
		"no plugin_dir":     {o: host.Options{PluginDirs: []string{"/nowhere"}, Executors: []task.ExecutorConfig{{Name: "b", Plugin: "config"}}}, want: []string{"plugin_dir: /nowhere does not exist", "executor.b.plugin: /nowhere does not exist"}},
		"no plugin_dir, that nobody needs": {o: host.Options{PluginDirs: []string{"/nowhere"}, Place: func(string) string { return "f.hcl:1" }, Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local"}}},
			want: []string{"warning plugin_dir: make it"}},
		"no plugin_dir, that nobody named": {o: host.Options{PluginDirs: []string{"/nowhere"}, Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local"}}}},
		"plugin_dir is a file":             {o: host.Options{PluginDirs: []string{filepath.Join(dir, "config")}, Executors: []task.ExecutorConfig{{Name: "b", Plugin: "config"}}}, want: []string{"plugin_dir: is no directory", "executor.b.plugin: "}},
		"types that nobody offers": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local"}, {Name: "b", Plugin: "config"}},
			Types: map[string]task.TypeConfig{"fien": {}, "told": {Executor: "a"}, "xyz": {Executor: "b"}}},
			want: []string{`task_type.fien: Did you mean "fine"?`, `task_type.told: Executor "a" does not offer task type "told"`, "task_type.xyz: it could be told"}},
		"types that somebody may": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local"}, {Name: "q", Plugin: "queue"}},
			Types: map[string]task.TypeConfig{"fien": {}, "any": {Executor: "q", Route: task.Route{"zone": "b"}}}}},
		"routes": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local"}, {Name: "q", Plugin: "queue"}},
			Types: map[string]task.TypeConfig{"fine": {Route: task.Route{"zone": "b"}}, "good": {Executor: "q", Route: task.Route{"zone": "b"}}}},
			want: []string{`task_type.fine.route: Executor "a" runs its tasks itself`}},
		"types that the config decides": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "c", Plugin: "app", Config: []byte(`{"tasks":["add","once"]}`)}},
			Types: map[string]task.TypeConfig{"add": {}, "once": {MaxLost: new(int)}, "ad": {Executor: "c"}}},
			want: []string{`task_type.ad: Did you mean "add"?`, `task_type.once.max_lost: may run twice`}},
		"two of one type": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local"}, {Name: "b", Plugin: "local"}},
			Types: map[string]task.TypeConfig{"good": {Executor: "b"}}},
			want: []string{`warning executor.b: Executors "a" and "b" both offer fine: "a" serves, because it stands first. To have "b" serve one of them:` + "\n\n" + `  task_type "fine" { executor = "b" }`}},
		"two of one type on a worker": {o: host.Options{Executors: []task.ExecutorConfig{{Name: "a", Plugin: "local"}, {Name: "b", Plugin: "local"}}, Types: nil},
			want: []string{`warning executor.b: both offer fine, good: "a" serves, because it stands first. To have "b" serve them, put it before the other`}},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.Builtins = builtins()
			if test.o.PluginDirs == nil {
				test.o.PluginDirs = []string{dir}
			}
			found, err := host.Check(t.Context(), test.o, !test.offline)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(found.Unchecked, test.unchecked) {
				t.Errorf("unchecked are %q, want %q", found.Unchecked, test.unchecked)
			}
			left := map[string]string{}
			for _, p := range found.Problems {
				key := p.Key
				if p.Warning {
					key = "warning " + key
				}
				left[key] = p.Detail
				if p.Summary == "" {
					t.Errorf("%s has no summary", key)
				}
			}
			for _, want := range test.want {
				key, words, _ := strings.Cut(want, ": ")
				if !strings.Contains(left[key], words) || left[key] == "" {
					t.Errorf("%q is not said of %s, but %q", words, key, left[key])
				}
				delete(left, key)
			}
			for key, detail := range left {
				t.Errorf("also found: %s: %s", key, detail)
			}
		})
	}
}

// To be asked has no effect: no executor is made by it.
func TestCheckConfiguresNothing(t *testing.T) {
	dir, out := plugin(t, "config"), t.TempDir()
	o := host.Options{PluginDirs: []string{dir}, ConfigDir: out, Executors: []task.ExecutorConfig{{Name: "b", Plugin: "config", Config: []byte(`{"dir":"."}`)}}}
	if found, err := host.Check(t.Context(), o, true); err != nil || len(found.Problems)+len(found.Unchecked) > 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	made := filepath.Join(out, "made")
	if _, err := os.Stat(made); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an executor was made: %v", err)
	}
	// The host makes it, with the path against the folder of the config.
	o.DataDir = t.TempDir()
	h, err := host.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	until(t, "it is made", func() bool { _, err := os.Stat(made); return err == nil })
}

// A config that its plugin's schema refuses is the executor's state, whether it is built in
// or a process, with the place in the file and the key that was meant. A host that is strict
// does not open.
func TestRefusedConfigsAreShown(t *testing.T) {
	place := func(key string) string { return "f.hcl:" + fmt.Sprint(len(key)) }
	o := host.Options{DataDir: t.TempDir(), Builtins: builtins(), PluginDirs: []string{plugin(t, "config")}, Place: place, Executors: []task.ExecutorConfig{
		{Name: "a", Plugin: "local", Config: []byte(`{"pol":1}`)}, {Name: "b", Plugin: "config", Config: []byte(`{"dirr":"x","evry":"1s"}`)}}}
	strict := o
	strict.Strict = true
	if h, err := host.Open(t.Context(), strict); err == nil {
		h.Close()
		t.Error("a strict host opens")
	} else if want := `f.hcl:21: executor.a.config.pol: pol is not known here; did you mean "pool"?`; err.Error() != want {
		t.Errorf("a strict host says %q, want %q", err, want)
	}
	h, err := host.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	for name, want := range map[string]string{"a": `f.hcl:21: pol is not known here; did you mean "pool"?`,
		"b": `config refused: f.hcl:22: dirr is not known here; did you mean "dir"?; f.hcl:22: evry is not known here; did you mean "every"?`} {
		var x task.ExecutorStatus
		until(t, name+" is refused", func() bool {
			for _, x = range h.Tasks().Executors() {
				if x.Name == name {
					return x.State == task.ExecutorStopped || x.State == task.ExecutorQuarantined
				}
			}
			return false
		})
		if !strings.Contains(x.Reason, want) {
			t.Errorf("%s: %s, want %s", name, x.Reason, want)
		}
	}
}

// A relative directory of a program's own is where the program stood when it opened the host.
func TestRelativeDataDir(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	var data string
	keep := sdk.Plugin{Name: "keep", New: func(cfg sdk.Config) (sdk.Executor, error) {
		data = cfg.DataDir
		return builtins()[0].New(cfg)
	}}
	h, err := host.Open(t.Context(), host.Options{DataDir: "./data", PluginDirs: []string{"plugins"}, Builtins: []sdk.Plugin{keep}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if want := filepath.Join(root, "data", "executors", "keep"); data != want {
		t.Errorf("an executor's directory is %s, want %s", data, want)
	}
	o := host.Options{DataDir: "data", PluginDirs: []string{filepath.Join(root, "plugins")}}
	if err := h.Reload(o); err != nil {
		t.Errorf("the same directories, otherwise written, are a change: %v", err)
	}
}
