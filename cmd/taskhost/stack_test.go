package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// The stack of a panic is read where the task is looked at, and in its log, in lines as it
// was written.
func TestStackIsShown(t *testing.T) {
	const stack = "goroutine 7 [running]:\nmain.run(0x1)\n\t/src/main.go:12\n"
	var out bytes.Buffer
	p := &program{out: &out, format: formatTable}
	it := api.Task{ID: "1", State: task.Failed, Error: &api.TaskError{Code: "script_failed", Message: "panic: no", Attempt: 1,
		Details: map[string]any{"stack": stack, "confirmed": false, "more": map[string]any{"n": 1.5}}}}
	if err := p.showTask(it); err != nil {
		t.Fatal(err)
	}
	line := &task.LogLine{At: time.Now(), Level: "error", Message: "panic: no", Fields: map[string]string{"stack": stack, "n": "1"}}
	for what, text := range map[string]string{"the task": out.String(), "its log": logLine(line)} {
		last := 0
		for _, want := range []string{"panic: no", "goroutine 7 [running]:", "main.run(0x1)", "/src/main.go:12"} {
			at := strings.Index(text, want)
			if at < last || strings.Contains(text, `\n`) {
				t.Errorf("%s: %q is not where it should be:\n%s", what, want, text)
			}
			last = at
		}
	}
	if text := out.String(); !strings.Contains(text, "confirmed: false") || !strings.Contains(text, `more: {"n":1.5}`) {
		t.Error(text)
	}
	if text := logLine(line); !strings.HasSuffix(strings.Split(text, "\n")[0], `panic: no n="1"`) {
		t.Error(text)
	}
}
