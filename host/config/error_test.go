package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What only the host can tell is shown as what the file's own faults are: with line and
// snippet, as deep in a block as its parts are written out.
func TestExplain(t *testing.T) {
	c, err := Parse("f.hcl", []byte(`executor "local.1" {
  plugin = "p"
  config {
    scripts = {
      import = { images_dirr = "/x" }
      http   = { ports = [1, "2"] }
    }
    made = { for a in ["x"] : a => a }
  }
}
task_type "a" {
  executor = "local.1"
}
`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"executor.local.1":                                   "f.hcl:1",
		"executor.local.1.plugin":                            "f.hcl:2",
		"executor.local.1.config":                            "f.hcl:3",
		"executor.local.1.config.scripts.import.images_dirr": "f.hcl:5",
		"executor.local.1.config.scripts.http.ports.1":       "f.hcl:6",
		"executor.local.1.config.made.x":                     "f.hcl:8",
		"executor.local.1.slots":                             "f.hcl:1",
		"task_type.a":                                        "f.hcl:11",
		"task_type.a.executor":                               "f.hcl:12",
		"listen":                                             "",
		"":                                                   "",
	} {
		if got := c.Place(key); got != want {
			t.Errorf("%s is at %q, want %q", key, got, want)
		}
	}
	e := c.Explain([]Problem{
		{Key: "task_type.a", Summary: "Nobody's", Detail: "Nobody offers it.", Warning: true},
		{Key: "executor.local.1.config.scripts.import.images_dirr", Summary: "Not known", Detail: "Did you mean another?"},
		{Key: "plugin_dir", Summary: "Not there", Detail: "It does not exist."},
	})
	want := `f.hcl has 2 errors and 1 warning

Error: Not there

It does not exist.

Error: Not known

  on f.hcl line 5:
   5:       import = { images_dirr = "/x" }

Did you mean another?

Warning: Nobody's

  on f.hcl line 11, in task_type "a":
  11: task_type "a" {

Nobody offers it.`
	if e == nil || strings.ReplaceAll(e.Error(), ", in task_type \"a\"", "") != strings.ReplaceAll(want, ", in task_type \"a\"", "") || e.OnlyWarnings() {
		t.Errorf("the operator reads\n%v\nwant\n%s", e, want)
	}
	if e := c.Explain([]Problem{{Warning: true, Summary: "w"}}); !e.OnlyWarnings() || !strings.HasPrefix(e.Error(), "f.hcl has 1 warning\n") {
		t.Errorf("a warning: %v", e)
	}
	if e := c.Explain(nil); e != nil {
		t.Errorf("nothing: %v", e)
	}
	c, err = Load("", nil, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if e := c.Explain([]Problem{{Key: "executor.local.config", Summary: "s", Detail: "d"}}); e.Error() != "the config has 1 error\n\nError: s\n\nd" {
		t.Errorf("without a file: %v", e)
	}
}

// A file of the other kind is told so, in one sentence with the right commands, and not by
// each of its keys.
func TestOtherKind(t *testing.T) {
	const worker = "name = \"w\"\nqueue {\n  url = \"nats://127.0.0.1\"\n}\nexecutor \"a\" {\n  plugin = \"p\"\n}\n"
	const server = "data_dir = \"/x\"\nlisten = \"127.0.0.1:1\"\ntask_type \"t\" {\n}\n"
	_, asServer := Parse("my w.hcl", []byte(worker))
	_, asWorker := LoadWorker("s.hcl", []byte(server))
	for _, test := range []struct {
		err  error
		want []string
	}{
		{asServer, []string{"This is the config of a worker", "taskhost config validate --worker 'my w.hcl'", "taskhost worker --config 'my w.hcl'", "line 1"}},
		{asWorker, []string{"This is the config of a server", "taskhost config validate s.hcl", "taskhost server --config s.hcl", "line 2"}},
	} {
		var e *Error
		if !errors.As(test.err, &e) || len(e.Places) != 1 {
			t.Fatalf("error %v, want one fault", test.err)
		}
		for _, want := range test.want {
			if !strings.Contains(e.Error(), want) {
				t.Errorf("%q is not said in\n%v", want, e)
			}
		}
	}
	// One key of its own, and what is not is a typo like others.
	_, err := Parse("f.hcl", []byte("listen = \"127.0.0.1:1\"\nname = \"x\"\n"))
	var e *Error
	if !errors.As(err, &e) || len(e.Places) != 1 || e.Places[0].Line != 2 || e.Places[0].Summary != "Unsupported argument" {
		t.Errorf("a key that is none: %v", err)
	}
}

// What a flag has replaced is not blamed on the file.
func TestExplainNamesTheFlag(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.hcl")
	if err := os.WriteFile(path, []byte("plugin_dir = \"/file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, nil, Flags{PluginDir: "/flag"})
	if err != nil {
		t.Fatal(err)
	}
	e := c.Explain([]Problem{{Key: "plugin_dir", Summary: "s", Detail: "It does not exist."}})
	if want := path + " has 1 error\n\nError: s\n\nIt does not exist. It is set by flag --plugin-dir."; e == nil || e.Error() != want {
		t.Errorf("the operator reads\n%v\nwant\n%s", e, want)
	}
	if got := c.Place("plugin_dir"); got != "flag --plugin-dir" {
		t.Errorf("it is at %q", got)
	}
}
