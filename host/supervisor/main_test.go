package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// The test binary is its own plugin: started by a supervisor it carries the
// instance mark, and its first argument is the path that the supervisor found.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(instanceVar) != "":
		servePlugin(filepath.Base(os.Args[0]))
	case os.Getenv("SUPERVISOR_TEST_HOST") != "":
		hostToBeKilled(os.Getenv("SUPERVISOR_TEST_HOST"))
	default:
		goleak.VerifyTestMain(m)
	}
}

func servePlugin(name string) {
	switch name {
	case "loud": // before the handshake, on stderr: allowed
		fmt.Fprintln(os.Stderr, `{"@message": 1}`)
		fmt.Fprintln(os.Stderr, strings.Repeat("x", 1<<20))
		fmt.Fprintln(os.Stderr, `{"@level":"warn","@message":"low on fuel","litres":3}`)
	case "frozen": // from the handshake on
		go func() {
			r, w, _ := os.Pipe()
			stdout := os.Stdout
			os.Stdout = w
			line := make([]byte, 64<<10)
			n, _ := r.Read(line)
			// Another process says it when this one has surely stopped.
			speak := exec.Command("sh", "-c", `until grep -q '^State:.T' "/proc/$1/status"; do :; done; printf %s "$2"`,
				"sh", strconv.Itoa(os.Getpid()), string(line[:n]))
			speak.Stdout = stdout
			if speak.Start() == nil {
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			}
		}()
		time.Sleep(20 * time.Millisecond) // until os.Stdout is the pipe
	}
	sdk.Serve(sdk.Plugin{Name: name, Version: "1.2.3", ConfigSchema: sdk.ConfigSchema(testConfig{}), Types: []string{"pid"}, New: newTestExecutor})
}

type testConfig struct {
	Refuse string   `json:"refuse"`
	DieIf  sdk.Path `json:"die_if"` // a file: if it exists, die before the config is taken
	// what Describe fails with
	Describe string `json:"describe"`
	Deferred bool   `json:"deferred"` // as it says of itself
	Closed   string `json:"closed"`   // a file that its Close makes, after half a second; "never" does not return
}

// newTestExecutor serves scripts that do what plugins must not.
func newTestExecutor(cfg sdk.Config) (sdk.Executor, error) {
	var c testConfig
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	if c.Refuse != "" {
		return nil, errors.New(c.Refuse)
	}
	if _, err := os.Stat(string(c.DieIf)); c.DieIf != "" && err == nil {
		fmt.Fprintln(os.Stderr, "the engine is on fire")
		os.Exit(3)
	}
	if c.Describe != "" {
		return undescribed{message: c.Describe}, nil
	}
	scripts, err := newTestScripts(c)
	if c.Deferred {
		scripts = handingOn{scripts}
	}
	if c.Closed != "" {
		scripts = closing{scripts, c.Closed}
	}
	return scripts, err
}

// closing is an executor with work to do at its end.
type closing struct {
	sdk.Executor
	file string
}

func (c closing) Close() error {
	if c.file == "never" {
		select {}
	}
	time.Sleep(500 * time.Millisecond) // the work
	return os.WriteFile(c.file, nil, 0o600)
}

// handingOn is an executor that says that it hands attempts on.
type handingOn struct{ sdk.Executor }

func (h handingOn) Describe(ctx context.Context) (sdk.Info, error) {
	info, err := h.Executor.Describe(ctx)
	info.Deferred = true
	return info, err
}

func newTestScripts(c testConfig) (sdk.Executor, error) {
	return sdk.NewScripts(
		sdk.Func("config_path", func(context.Context, struct{}, sdk.Reporter) (string, error) { return string(c.DieIf), nil }),
		sdk.Func("pid", func(context.Context, struct{}, sdk.Reporter) (int, error) { return os.Getpid(), nil }),
		sdk.Func("env", func(context.Context, struct{}, sdk.Reporter) ([]string, error) { return os.Environ(), nil }),
		sdk.Func("exe", func(context.Context, struct{}, sdk.Reporter) (string, error) { return os.Executable() }),
		sdk.Func("say", func(_ context.Context, text string, _ sdk.Reporter) (int, error) {
			return fmt.Fprintln(os.Stderr, text)
		}),
		sdk.Func("big", func(_ context.Context, n int, _ sdk.Reporter) (string, error) { return strings.Repeat("y", n), nil }),
		sdk.Func("len", func(_ context.Context, s string, _ sdk.Reporter) (int, error) { return len(s), nil }),
		sdk.Func("exit", func(_ context.Context, code int, _ sdk.Reporter) (int, error) {
			fmt.Fprintln(os.Stderr, "last words")
			os.Exit(code)
			return 0, nil
		}),
		sdk.Func("freeze", func(ctx context.Context, _ struct{}, _ sdk.Reporter) (int, error) {
			err := syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			<-ctx.Done() // the other threads stop a moment later
			return 0, err
		}),
		// a grandchild that holds stderr; with away, in a group of its own
		sdk.Func("spawn", func(_ context.Context, away bool, _ sdk.Reporter) (int, error) {
			cmd := exec.Command("sleep", "300")
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: away}
			err := cmd.Start()
			if err != nil {
				return 0, err
			}
			return cmd.Process.Pid, nil
		}),
		// goes on whatever it is told, until there is a file
		sdk.Func("late", func(_ context.Context, file string, r sdk.Reporter) (int, error) {
			r.Progress(1, 0, "running")
			for {
				if _, err := os.Stat(file); err == nil {
					return 1, nil
				}
				time.Sleep(5 * time.Millisecond) // another process's file
			}
		}),
		// goes on whatever it is told, in a busy loop or not
		sdk.Func("stubborn", func(_ context.Context, busy bool, r sdk.Reporter) (int, error) {
			r.Progress(1, 0, "running")
			if busy {
				for {
					runtime.Gosched() // a loop that the compiler and the linter take for one
				}
			}
			select {}
		}),
		sdk.Func("wait", func(ctx context.Context, file string, r sdk.Reporter) (int, error) {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return 0, err
			}
			for {
				if _, err := os.Stat(file + ".go"); err == nil {
					return 1, nil
				}
				select {
				case <-ctx.Done():
					return 0, ctx.Err()
				case <-time.After(5 * time.Millisecond): // another process's file
				}
			}
		}),
	)
}

// undescribed is an executor that does not say what it offers.
type undescribed struct {
	sdk.Executor
	message string
}

func (u undescribed) Describe(context.Context) (sdk.Info, error) {
	return sdk.Info{}, errors.New(u.message)
}

// rig is a supervisor with a directory of plugins.
type rig struct {
	*testing.T
	dir  string // plugin directory
	opts Options
	sup  *Supervisor
	logs *lines
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{T: t, dir: t.TempDir(), logs: &lines{}}
	r.opts = Options{
		RunDir: filepath.Join(t.TempDir(), "run"), PluginDirs: []string{r.dir},
		Log:          hclog.New(&hclog.LoggerOptions{Output: r.logs, Level: hclog.Debug}),
		StartTimeout: 10 * time.Second, DrainTimeout: 5 * time.Second, KillAfter: 500 * time.Millisecond,
		BackoffMin: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond, Silence: 1500 * time.Millisecond,
	}
	for _, f := range change {
		f(&r.opts)
	}
	sup, err := Open(r.opts)
	if err != nil {
		t.Fatal(err)
	}
	r.sup = sup
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_ = sup.Close(ctx) // what a test left undone is its own matter
		if t.Failed() {
			t.Log(r.logs.String())
		}
	})
	return r
}

// serving puts the test binary into the plugin directory under a name.
func (r *rig) serving(name string) string {
	r.Helper()
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(r.dir, name)); err != nil {
		r.Fatal(err)
	}
	return name
}

// script puts a shell script there.
func (r *rig) script(name, text string) string {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		r.Fatal(err)
	}
	return name
}

func (r *rig) start(config task.ExecutorConfig) *Executor {
	r.Helper()
	return r.startIn(config, "")
}

func (r *rig) startIn(config task.ExecutorConfig, dataDir string) *Executor {
	r.Helper()
	if config.Name == "" {
		config.Name = "x"
	}
	e, err := r.sup.Start(config, dataDir)
	if err != nil {
		r.Fatal(err)
	}
	return e
}

func (r *rig) ready(e *Executor) task.ExecutorStatus { return r.until(e, task.ExecutorReady) }

func (r *rig) until(e *Executor, want ...task.ExecutorState) task.ExecutorStatus {
	r.Helper()
	return r.when(e, fmt.Sprint(want), func(st task.ExecutorStatus) bool {
		for _, s := range want {
			if st.State == s {
				return true
			}
		}
		return false
	})
}

// when waits for the status that is described.
func (r *rig) when(e *Executor, what string, is func(task.ExecutorStatus) bool) task.ExecutorStatus {
	r.Helper()
	late := time.After(20 * time.Second)
	for {
		if st := e.Status(); is(st) {
			return st
		}
		select {
		case <-e.Changed():
		case <-late:
			r.Fatalf("waited for %s, have %+v", what, e.Status())
		}
	}
}

// do runs one task type with an input.
func (r *rig) do(e *Executor, name string, in any) (sdk.Result, error) {
	t := newTask(name, in)
	defer e.Settled(t.Token)
	return sdk.Execute(context.Background(), e, t, sdk.NewReporter(sdk.ReporterFuncs{}))
}

func newTask(name string, in any) sdk.Task {
	data, _ := json.Marshal(in)
	t := sdk.Task{ID: newID(), Type: name, Attempt: 1, Input: data}
	copy(t.Token[:], newID())
	return t
}

// get runs a task that must succeed.
func get[T any](r *rig, e *Executor, name string, in any) T {
	r.Helper()
	var out T
	res, err := r.do(e, name, in)
	if err == nil {
		err = json.Unmarshal(res.Data, &out)
	}
	if err != nil {
		r.Fatalf("%s: %v", name, err)
	}
	return out
}

// over waits until another process is gone.
func (r *rig) over(pid int, what string) {
	r.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		s, err := readStat(pid)
		if err != nil || s.state == 'Z' {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s (pid %d) still runs", what, pid)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
}

// lines is a log that can be searched and waited for.
type lines struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	moved chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) wait(t *testing.T, want string) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		found := strings.Contains(l.buf.String(), want)
		if l.moved == nil {
			l.moved = make(chan struct{})
		}
		moved := l.moved
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-moved:
		case <-late:
			t.Fatalf("no log line says %q", want)
		}
	}
}

var _ io.Writer = (*lines)(nil)
