// Package python_test runs the Python plugin as the executor of a real host.
package python_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
)

const patience = time.Minute

// lines collects the host's log, for tests that fail.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type rig struct {
	*testing.T
	host *host.Host
	ctx  context.Context
}

func needsPython(t *testing.T) {
	t.Helper()
	probe := exec.Command("/usr/bin/python3", "-c", "import cryptography, google.protobuf, grpc")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("needs Debian's python3-grpcio, python3-protobuf and python3-cryptography: %v\n%s", err, out)
	}
}

// open starts a host whose only executor is the file beside this one.
func open(t *testing.T, config string) *rig {
	t.Helper()
	needsPython(t)
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	log := &lines{}
	h, err := host.Open(ctx, host.Options{
		DataDir: t.TempDir(), PluginDirs: []string{dir}, DrainTimeout: time.Second,
		Executors: []task.ExecutorConfig{{Name: "python", Plugin: "shout.py", Config: []byte(config)}},
		Log:       hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: log}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	return &rig{T: t, host: h, ctx: ctx}
}

// until polls the executor, which is a process outside, for a state; ready, its
// types are known, too.
func (r *rig) until(state task.ExecutorState) task.ExecutorStatus {
	r.Helper()
	for {
		st := r.host.Tasks().Executors()[0]
		if st.State == state && (state != task.ExecutorReady || len(r.host.Tasks().Types(host.DefaultScope())) > 0) {
			return st
		}
		select {
		case <-r.ctx.Done():
			r.Fatalf("executor is not %s but %+v", state, st)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *rig) submit(spec task.Spec) task.Task {
	r.Helper()
	spec.Type = "shout"
	return r.submitted(spec)
}

func (r *rig) submitted(spec task.Spec) task.Task {
	r.Helper()
	tasks, _, err := r.host.Tasks().Submit(r.ctx, host.DefaultScope(), []task.Spec{spec}, nil)
	if err != nil {
		r.Fatal(err)
	}
	return tasks[0]
}

func (r *rig) wait(id task.ID) task.Task {
	r.Helper()
	done, err := r.host.Tasks().Wait(r.ctx, host.DefaultScope(), id)
	if err != nil || !done.State.Final() {
		r.Fatalf("task is %s: %v", done.State, err)
	}
	return done
}

// running submits a long shout and returns it once it has reported progress.
func (r *rig) running(spec task.Spec) task.Task {
	r.Helper()
	spec.Input = []byte(`{"text": "` + strings.Repeat("a", 30_000) + `"}`)
	// In the future, so that the watch is there before the first attempt.
	spec.RunAt = time.Now().Add(100 * time.Millisecond)
	t := r.submit(spec)
	updates, err := r.host.Tasks().Watch(r.ctx, host.DefaultScope(), t.ID)
	if err != nil {
		r.Fatal(err)
	}
	for u := range updates {
		if u.Progress != nil && u.Progress.Total == 30_000 && u.Progress.Message == "shouting" {
			return t
		}
	}
	r.Fatal("no progress was reported")
	return t
}

func TestShout(t *testing.T) {
	r := open(t, "")
	st := r.until("ready")
	if len(st.Instances) != 1 || st.Instances[0].Version != "1.0.0" {
		t.Errorf("instances %+v", st.Instances)
	}
	t.Run("result, log and progress", func(t *testing.T) {
		id := r.submit(task.Spec{Input: []byte(`{"text": "grüß dich"}`)}).ID
		done := r.wait(id)
		if done.State != task.Succeeded || string(done.Result) != `{"text": "GRÜSS DICH!"}` || done.ResultType != "application/json" {
			t.Errorf("%s with %s %q, %+v", done.State, done.ResultType, done.Result, done.Error)
		}
		if want := (task.Progress{Done: 9, Total: 9, Message: "shouted"}); done.Progress != want {
			t.Errorf("progress %+v, want %+v", done.Progress, want)
		}
		logs, err := r.host.Tasks().Logs(r.ctx, host.DefaultScope(), id, task.LogFilter{})
		if err != nil || !slices.ContainsFunc(logs, func(l task.LogLine) bool {
			return l.Level == "info" && l.Message == "shouting" && l.Fields["letters"] == "9"
		}) {
			t.Errorf("log %+v, %v", logs, err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		id := r.running(task.Spec{}).ID
		if _, err := r.host.Tasks().Cancel(r.ctx, host.DefaultScope(), id); err != nil {
			t.Fatal(err)
		}
		if done := r.wait(id); done.State != task.Canceled {
			t.Errorf("%s, %+v", done.State, done.Error)
		}
	})
	t.Run("out of time", func(t *testing.T) {
		id := r.running(task.Spec{Timeout: time.Second, MaxAttempts: 1}).ID
		if done := r.wait(id); done.State != task.Failed || done.Error.Code != "timeout" || strings.Count(done.Error.Message, "timed out") != 1 {
			t.Errorf("%s, %+v", done.State, done.Error)
		}
	})
	t.Run("bad input", func(t *testing.T) {
		done := r.wait(r.submit(task.Spec{Input: []byte(`{"text": " "}`), MaxAttempts: 5}).ID)
		if done.State != task.Failed || done.Attempt != 1 || !strings.Contains(done.Error.Message, "nothing to shout") {
			t.Errorf("%s after %d attempts, %+v", done.State, done.Attempt, done.Error)
		}
		_, _, err := r.host.Tasks().Submit(r.ctx, host.DefaultScope(), []task.Spec{{Type: "shout", Input: []byte(`{"txt": "a"}`)}}, nil)
		if err == nil || !strings.Contains(err.Error(), "text") {
			t.Errorf("input against the schema: %v", err)
		}
	})
	t.Run("children", func(t *testing.T) {
		done := r.wait(r.submitted(task.Spec{Type: "choir", Input: []byte(`{"lines": ["la", "le", "lu"]}`)}).ID)
		if done.State != task.Succeeded || string(done.Result) != `{"text": "LA! LE! LU!"}` || done.Failures != 0 {
			t.Errorf("%s with %s, %+v", done.State, done.Result, done.Error)
		}
		p, err := r.host.Tasks().List(r.ctx, host.DefaultScope(), task.Filter{Parent: done.ID})
		if err != nil || len(p.Tasks) != 3 {
			t.Errorf("%d children, %v", len(p.Tasks), err)
		}
		done = r.wait(r.submitted(task.Spec{Type: "choir", Input: []byte(`{"lines": ["la", " "]}`)}).ID)
		if done.State != task.Failed || done.Error.Code != "permanent" || !strings.Contains(done.Error.Message, "nothing to shout") {
			t.Errorf("a child that fails: %s, %+v", done.State, done.Error)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var ids []task.ID
		for range 100 {
			ids = append(ids, r.submit(task.Spec{Input: []byte(`{"text": "a"}`)}).ID)
		}
		for _, id := range ids {
			if done := r.wait(id); done.State != task.Succeeded || done.Attempt != 1 {
				t.Errorf("%s in attempt %d, %+v", done.State, done.Attempt, done.Error)
			}
		}
	})
}

// A host that closes lets go of what runs, without a failure, and the process ends
// at its word.
func TestHostCloses(t *testing.T) {
	r := open(t, "")
	pid := r.until("ready").Instances[0].Pid
	r.running(task.Spec{})
	if err := r.host.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}

// SIGTERM from somebody else: the process says so, a successor takes what is new, and it counts
// as no failure.
func TestToldToStop(t *testing.T) {
	r := open(t, "")
	pid := r.until("ready").Instances[0].Pid
	long := r.submit(task.Spec{Input: []byte(`{"text": "` + strings.Repeat("a", 150) + `"}`)}) // three seconds
	for got := long; got.Progress.Total == 0; {
		var err error
		if got, err = r.host.Tasks().Get(r.ctx, host.DefaultScope(), long.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if done := r.wait(r.submit(task.Spec{Input: []byte(`{"text": "a"}`)}).ID); done.State != task.Succeeded || done.Attempt > 2 {
		t.Errorf("what is new is %s in attempt %d, %+v", done.State, done.Attempt, done.Error)
	}
	if done := r.wait(long.ID); done.State != task.Succeeded || done.Attempt != 1 {
		t.Errorf("what ran is %s in attempt %d, %+v", done.State, done.Attempt, done.Error)
	}
	for st := r.until("ready"); len(st.Instances) != 1 || st.Instances[0].Pid == pid; st = r.until("ready") {
		if st.LastError != "" {
			t.Fatalf("it counts as a failure: %s", st.LastError)
		}
		time.Sleep(20 * time.Millisecond) // processes outside
	}
}

func TestConfigIsRefused(t *testing.T) {
	r := open(t, `{"volume": 11}`)
	st := r.until("quarantined")
	if !strings.Contains(st.Reason, "volume") {
		t.Errorf("reason %q does not name the key", st.Reason)
	}
}

func TestStartedByHand(t *testing.T) {
	needsPython(t)
	out, err := exec.Command("/usr/bin/python3", "shout.py").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "plugin_dir") {
		t.Errorf("said %q, %v", out, err)
	}
}

// A plugin ends when its parent has, in whatever way. This parent is a shell, and
// wants no TLS.
func TestEndsWithItsParent(t *testing.T) {
	needsPython(t)
	shell := exec.Command("sh", "-c", "/usr/bin/python3 shout.py & read line")
	shell.Env = append(os.Environ(), "TASKHOST_PLUGIN=3d6a5b0e-executor", "PLUGIN_UNIX_SOCKET_DIR="+t.TempDir())
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) })
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "1|1|unix|/") || !strings.HasSuffix(line, "|grpc|\n") {
		t.Errorf("handshake %q, %v", line, err)
	}
	stdin.Close() // the shell ends
	if _, err := io.ReadAll(out); err != nil {
		t.Error(err)
	}
	if !late.Stop() {
		t.Error("it did not end by itself")
	}
	_ = shell.Wait() // its read found no line
}
