package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// evil is what a script, a worker or a client may write anywhere.
const evil = "x\nFORGED\r\x1b[2K\x1b]0;t\a\u009b1m\u2028\u202e\x7f"

// steers says whether text holds anything that a terminal acts upon, or a line
// that evil began.
func steers(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsGraphic(r) }) >= 0 ||
		strings.HasPrefix(text, "FORGED") || strings.Contains(text, "\nFORGED")
}

// Whatever the host logs, in whichever part of an entry, stays in that entry.
func TestLogForgesNoLines(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		p := &program{err: &out}
		log, err := p.newLogger("info", asJSON)
		if err != nil {
			t.Fatal(err)
		}
		log.Named(evil).With(evil, evil).Info(evil, evil, errors.New(evil), "list", []string{evil}, "fmt", hclog.Fmt("%s", evil), "other", []any{evil})
		if steers(out.String()) {
			t.Errorf("JSON %v: %q", asJSON, out.String())
		}
		if asJSON && !json.Valid(out.Bytes()) {
			t.Errorf("no JSON: %q", out.String())
		}
	}
	var out bytes.Buffer
	entry := "2026 [ERROR] taskhost: failed:\n  error=\n  | one\n  | two\n   task=1\n"
	if n, err := (logWriter{&out}).Write([]byte(entry)); n != len(entry) || err != nil || out.String() != entry {
		t.Errorf("an honest entry of several lines is changed: %d, %v, %q", n, err, out.String())
	}
}

func FuzzLogWriter(f *testing.F) {
	for _, s := range []string{evil, "", "\n", "\n\n", "a\n  b\nFORGED"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		var out bytes.Buffer
		if n, err := (logWriter{&out}).Write([]byte("entry " + entry)); err != nil || n != len(entry)+6 {
			t.Fatal(n, err)
		}
		text := out.String()
		if steers(text) || !strings.HasSuffix(text, "\n") {
			t.Fatalf("%q", text)
		}
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if i > 0 && !strings.HasPrefix(line, "  ") {
				t.Fatalf("line %d of %q looks like an entry", i, text)
			}
		}
	})
}

// Nothing that the command line prints of others steers the terminal it is printed on.
func TestOutputSteersNoTerminal(t *testing.T) {
	now := time.Now()
	text := evil
	it := api.Task{ID: "1", Type: evil, Key: &text, Owner: evil, Labels: map[string]string{evil: evil}, Executor: &text, Waiting: &text,
		Progress: &api.TaskProgress{Message: evil}, Error: &api.TaskError{Code: evil, Message: evil, Details: map[string]any{evil: evil}}, State: task.Failed,
		Input: json.RawMessage(`"` + "\u202e\u009b" + `"`), ResultType: &text, CreatedAt: now, RunAt: now}
	event := api.StateEvent{Event: api.Event{At: now, To: task.Pending, Message: evil}, Task: it}
	r := taskTable()
	r.name = func(api.Task) string { return evil }
	for what, print := range map[string]func(p *program) error{
		"a list":   func(p *program) error { return printList(p, r, []api.Task{it}, []api.Task{it}) },
		"a task":   func(p *program) error { return p.showTask(it) },
		"an event": func(p *program) error { return p.printTransition(&event) },
		"a thing":  func(p *program) error { return printFields(p, it, evil, []field{{"name", evil}}) },
		"a line": func(p *program) error {
			_, err := p.out.Write([]byte(logLine(&task.LogLine{At: now, Level: evil, Message: evil, Fields: map[string]string{evil: evil}})))
			return err
		},
		"progress": func(p *program) error {
			(&display{w: p.out}).progress(it.Progress)
			return nil
		},
		"an error": func(p *program) error { p.exit(task.Errorf(task.CodeInvalidRequest, "%s", evil)); return nil },
		"an error's fields": func(p *program) error {
			p.exit(&task.Error{Code: task.CodeInvalidInput, Message: evil, Fields: []task.FieldError{{Path: []string{evil}, Message: evil}}})
			return nil
		},
		"no credentials":    func(p *program) error { p.exit(task.Errorf(task.CodeUnauthenticated, "%s", evil)); return nil },
		"a config refused":  func(p *program) error { p.exit(fmt.Errorf("%w: %s", sdk.ErrConfigRefused, evil)); return nil },
		"the end of a task": func(p *program) error { p.exit(outcomeError(&it)); return nil },
	} {
		for _, format := range formats {
			var out bytes.Buffer
			p := &program{out: &out, err: &out, format: format, parsed: true}
			if err := print(p); err != nil {
				t.Fatal(err)
			}
			if out.Len() == 0 || steers(out.String()) {
				t.Errorf("%s as %s: %q", what, format, out.String())
			}
		}
	}
	var out bytes.Buffer
	if err := (&program{out: &out}).jsonLine(map[string]string{"a": evil}); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["a"] != evil {
		t.Errorf("as JSON it is %q, %v", back["a"], err)
	}
	out.Reset()
	if err := (&program{out: &out}).writeResult([]byte(evil)); err != nil || out.String() != evil {
		t.Errorf("a result in a pipe is %q, %v", out.String(), err)
	}
}
