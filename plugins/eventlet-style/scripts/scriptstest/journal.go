// Package scriptstest holds a script for tests that kill things: it writes down
// that it works before it does, in a file that survives. Not for use in a product.
package scriptstest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/sdk"
)

// Journal makes the script "journal". Its attribute path names the file, which
// is appended to. Each attempt writes "TASK ATTEMPT TOKEN start", fsynced, works, and
// writes "TASK ATTEMPT TOKEN end". Its input may be null or
//
//	{"seconds"?: how long it works, "fail"?: how many first attempts fail, "result"?: any value}
//	{"secret": a text that it logs, reports and fails with; its result is the SHA-256 of it}
//	{"children": how many it spawns, "seconds"?: how long that takes, "child"?: their input}
//
// With children, which are journals too, it rests until all are final; its result is how many
// of them succeeded.
//
// An attempt whose context ends writes no end. Many processes may share a file: a line is one
// write, and begins with its newline, for the write of a process that is killed may be cut short.
func Journal() eventlet.Factory {
	return eventlet.Factory{Name: "journal", ConfigSchema: sdk.ConfigSchema(journalConfig{}), New: newJournal}
}

// Plugin is the journal alone, for a plugin binary.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: "journal", Version: "test", ConfigSchema: sdk.ConfigSchema(journalConfig{}), Types: []string{"journal"}, New: New}
}

// New makes an executor of the journal alone.
func New(cfg sdk.Config) (sdk.Executor, error) {
	s, err := newJournal(cfg)
	if err != nil {
		return nil, err
	}
	return sdk.NewScripts(s)
}

type journalConfig struct {
	Path sdk.Path `json:"path" jsonschema:"the file that is appended to"`
}

func newJournal(cfg sdk.Config) (sdk.Script, error) {
	var c journalConfig
	if err := cfg.Decode(&c); err != nil {
		return sdk.Script{}, err
	}
	if c.Path == "" {
		return sdk.Script{}, errors.New("path: say where the journal is")
	}
	f, err := os.OpenFile(string(c.Path), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return sdk.Script{}, fmt.Errorf("path: %w", err)
	}
	j := journal{f}
	return sdk.Script{TypeInfo: sdk.TypeInfo{Name: "journal"}, Run: j.run}, nil
}

// journal is held open for the life of the process.
type journal struct{ file *os.File }

func (j journal) write(t sdk.Task, what string) error {
	if _, err := fmt.Fprintf(j.file, "\n%s %d %s %s", t.ID, t.Attempt, t.Token, what); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// input is what a journal is asked to do.
type input struct {
	Seconds  float64         `json:"seconds"`
	Fail     int             `json:"fail"`
	Deaf     bool            `json:"deaf"`  // it does not listen to its context
	Lines    int             `json:"lines"` // that it logs, of 2 KiB, with progress that says as much
	Result   any             `json:"result"`
	Group    any             `json:"group"` // given to a group's finisher
	Children int             `json:"children"`
	Child    json.RawMessage `json:"child"`
	Secret   string          `json:"secret"`
}

func (j journal) run(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	var in input
	if err := j.write(t, "start"); err != nil {
		return sdk.Result{}, err
	}
	if err := t.Decode(&in); err != nil {
		return sdk.Result{}, err
	}
	for i := range in.Lines {
		r.Log().Info(strings.Repeat("x", 2<<10))
		r.Progress(int64(i), int64(in.Lines), strings.Repeat("x", 2<<10))
	}
	if in.Secret != "" {
		r.Log().Info("told "+in.Secret, "secret", in.Secret)
		r.Progress(1, 1, "has "+in.Secret)
		in.Result = fmt.Sprintf("%x", sha256.Sum256([]byte(in.Secret)))
	}
	if in.Children > 0 {
		done, err := family(ctx, t, r, &in)
		if err != nil {
			return sdk.Result{}, err
		}
		in.Result = done
	} else if err := in.work(ctx, in.Seconds); err != nil {
		return sdk.Result{}, err
	}
	if err := j.write(t, "end"); err != nil {
		return sdk.Result{}, err
	}
	if t.Attempt <= in.Fail {
		return sdk.Result{}, fmt.Errorf("attempt %d fails, as asked %s", t.Attempt, in.Secret)
	}
	return sdk.JSON(in.Result)
}

// work takes its time.
func (in *input) work(ctx context.Context, seconds float64) error {
	if seconds <= 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	stop := ctx.Done()
	if in.Deaf {
		stop = nil
	}
	select {
	case <-timer.C:
		return nil
	case <-stop:
		return context.Cause(ctx)
	}
}

// family spawns the children, or says how many succeeded once all are final.
func family(ctx context.Context, t sdk.Task, r sdk.Reporter, in *input) (succeeded int, err error) {
	final := 0
	for _, c := range t.Children {
		if c.Final() {
			final++
		}
		if c.Succeeded() {
			succeeded++
		}
	}
	if final >= in.Children {
		return succeeded, nil
	}
	lost := 1000
	for i := range in.Children {
		if _, err := r.Spawn(ctx, sdk.Child{Name: fmt.Sprint(i), Type: "journal", Input: in.Child, MaxLost: &lost}); err != nil {
			return 0, err
		}
		if err := in.work(ctx, in.Seconds/float64(in.Children)); err != nil {
			return 0, err
		}
	}
	return 0, sdk.YieldForChildren(nil, nil)
}
