package config

import (
	"fmt"
	"reflect"
	"testing"
)

const (
	reloadExecutors = `
listen = "127.0.0.1:0"
executor "local" {
  plugin = "eventlet-style"
  config {
    token = "abc"
  }
}
executor "own" { plugin = "own" }
`
	beforeReload = reloadExecutors + `
task_type "a" { max_attempts = 2 }
task_type "a.b" { timeout = "1m" }
`
)

// A reload says of each key that differs whether it is in force or needs a restart, and
// what is in force then.
func TestReload(t *testing.T) {
	for name, c := range map[string]struct {
		read    string
		changes string // key: old -> new, a ! before what needs a restart
		attempt int    // max_attempts of a that is in force then
	}{
		"nothing": {beforeReload, "[]", 2},
		"what can be changed": {`
log_level = "debug"
drain_timeout = "9s"
` + beforeReload + `
task_type "c" { priority = 3 }`, "[drain_timeout: 5s -> 9s log_level: info -> debug task_type.c.priority:  -> 3]", 2},
		"what cannot, beside what can": {`
listen = "127.0.0.1:1"
plugin_env = ["X"]
executor "local" {
  plugin = "eventlet-style"
  config {
    token = "def"
  }
}
executor "own" {
  plugin = "own"
  slots = 3
}
task_type "a" { max_attempts = 5 }
`, `[!executor.local.config.token: (secret) -> (secret) !executor.own.slots:  -> 3 !listen: 127.0.0.1:0 -> 127.0.0.1:1 !plugin_env:  -> ["X"] task_type.a.b.timeout: 1m ->  task_type.a.max_attempts: 2 -> 5]`, 5},
		"a type on an executor that is new": {reloadExecutors + `
task_type "a" {
  max_attempts = 2
  executor     = "new"
  priority     = 4
}
task_type "a.b" { timeout = "2m" }
executor "new" { plugin = "own" }
`, "[!executor.new.plugin:  -> own task_type.a.b.timeout: 1m -> 2m !task_type.a.executor:  -> new !task_type.a.priority:  -> 4]", 2},
		"the executors' order": {`
listen = "127.0.0.1:0"
executor "own" {
  plugin = "own"
}
executor "local" {
  plugin = "eventlet-style"
  config {
    token = "abc"
  }
}
task_type "a" { max_attempts = 2 }
task_type "a.b" { timeout = "1m" }
`, "[!executor: local, own -> own, local]", 2},
	} {
		t.Run(name, func(t *testing.T) {
			inForce, err := Parse("x.hcl", []byte(beforeReload))
			if err != nil {
				t.Fatal(err)
			}
			read, err := Parse("x.hcl", []byte(c.read))
			if err != nil {
				t.Fatal(err)
			}
			next, changes := inForce.Reload(read)
			if got := fmt.Sprint(changes); got != c.changes {
				t.Errorf("changes are\n%s, want\n%s", got, c.changes)
			}
			if len(next.Types) == 0 || next.Types[0].Name != "a" || next.Types[0].MaxAttempts != c.attempt {
				t.Errorf("the types in force are %+v", next.Types)
			}
			if next.LogLevel != read.LogLevel || next.DrainTimeout != read.DrainTimeout || next.Listen != inForce.Listen || !reflect.DeepEqual(next.Executors, inForce.Executors) {
				t.Errorf("in force is %+v", next)
			}
			// What needs a restart is said again, and nothing else.
			_, again := next.Reload(read)
			var want []Change
			for _, ch := range changes {
				if ch.Restart {
					want = append(want, ch)
				}
			}
			if !reflect.DeepEqual(again, want) {
				t.Errorf("said again is %v, want %v", again, want)
			}
			if _, back := next.Reload(inForce); len(back) != len(changes)-len(want) {
				t.Errorf("the way back changes %v", back)
			}
		})
	}
}

// String is how the test names a change.
func (c Change) String() string {
	mark := ""
	if c.Restart {
		mark = "!"
	}
	return fmt.Sprintf("%s%s: %s -> %s", mark, c.Key, c.Old, c.New)
}

func TestReloadOfAWorker(t *testing.T) {
	load := func(text string) *Worker {
		t.Helper()
		w, err := LoadWorker("w.hcl", []byte(text+`
executor "local" { plugin = "eventlet-style" }
queue { join = "x" }
`))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	inForce := load(`name = "w1"`)
	read := load("name = \"w2\"\nlabels = { zone = \"b\" }\nlog_level = \"warn\"")
	next, changes := inForce.Reload(read)
	if got := fmt.Sprint(changes); got != `[!labels:  -> {"zone":"b"} log_level: info -> warn !name: w1 -> w2]` {
		t.Error(got)
	}
	if next.Name != "w1" || next.LogLevel != "warn" {
		t.Errorf("%+v", next)
	}
	if _, again := next.Reload(read); len(again) != 2 {
		t.Error(again)
	}
}
