package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A death is noticed by the attempts that run, the executor comes back by itself
// with a new client and a new process, and the error says how the old one ended.
func TestRestartsAfterDeath(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	first := r.ready(e).Instances[0]
	_, err := r.do(e, "exit", 3)
	if !errors.Is(err, sdk.ErrLost) {
		t.Errorf("attempt ended with %v, want lost", err)
	}
	st := r.when(e, "a second process", func(st task.ExecutorStatus) bool {
		return st.State == task.ExecutorReady && st.Instances[0].ID != first.ID
	})
	if st.Instances[0].Restarts != 1 || st.Instances[0].Pid == first.Pid {
		t.Errorf("after the restart: %+v", st.Instances)
	}
	contains(t, st.LastError, "exited with status 3", "last words")
	if pid := get[int](r, e, "pid", struct{}{}); pid != st.Instances[0].Pid {
		t.Errorf("task ran in %d, status says %d", pid, st.Instances[0].Pid)
	}
}

// diedAtOnce is a connection that is gone before its executor shows it.
type diedAtOnce struct {
	sdk.HostConnection
	done chan struct{}
}

func (d diedAtOnce) Hello() sdk.PluginHello {
	time.Sleep(5 * time.Millisecond) // meanwhile whoever sees its end already could tell
	return sdk.PluginHello{}
}
func (d diedAtOnce) Changed() <-chan struct{}  { return nil }
func (d diedAtOnce) Draining() <-chan struct{} { return nil }
func (d diedAtOnce) Done() <-chan struct{}     { return d.done }
func (d diedAtOnce) Err() error                { return errors.New("it is gone") }

// A process that is dead when it is taken over takes no attempts until the next one is there.
func TestDeadBeforeItServes(t *testing.T) {
	r := newRig(t)
	e := newExecutor(r.sup, task.ExecutorConfig{Name: "x"}, "")
	c := &controller{executor: e, deaths: make(chan death), abortLaunch: func() {}}
	inst := e.newInstance()
	conn := diedAtOnce{done: make(chan struct{})}
	close(conn.done)
	inst.conn = conn
	inst.process = newProcess(exec.Command("none"), inst.output, nil)
	inst.process.markNeverStarted()
	c.launching = inst
	c.onLaunched(nil)
	<-c.deaths
	if _, err := e.currentConnection(); err == nil {
		t.Error("the dead process takes attempts")
	}
	inst.output.end()
}

func TestKilledFromOutside(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	pid := r.ready(e).Instances[0].Pid
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	st := r.when(e, "another process", func(st task.ExecutorStatus) bool {
		return st.State == task.ExecutorReady && st.Instances[0].Pid != pid
	})
	contains(t, st.LastError, "signal 9")
}

// A frozen process answers nothing and does not end when asked: it is noticed by
// its silence and killed.
func TestFreezeIsNoticed(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	pid := r.ready(e).Instances[0].Pid
	if _, err := r.do(e, "freeze", struct{}{}); !errors.Is(err, sdk.ErrLost) {
		t.Errorf("attempt ended with %v, want lost", err)
	}
	st := r.when(e, "another process", func(st task.ExecutorStatus) bool {
		return st.State == task.ExecutorReady && st.Instances[0].Pid != pid
	})
	contains(t, st.LastError, "does not answer", "said nothing for")
	r.over(pid, "the frozen process")
}

// Kill and Ping have no bound of their own: stopping a frozen process must.
func TestStopsWhatIsFrozen(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Silence = time.Hour })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	pid := r.ready(e).Instances[0].Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(context.Background()); err != nil { // hangs if it is unbounded
		t.Error(err)
	}
	r.over(pid, "the frozen process")
	if err := e.Restart(context.Background()); err == nil {
		t.Error("a stopped executor was restarted")
	}
}

// A grandchild that holds the plugin's stderr hides neither its death nor its
// end, and is ended with it, also from a process group of its own.
func TestGrandchildren(t *testing.T) {
	for name, away := range map[string]bool{"in the group": false, "away": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
			pid := r.ready(e).Instances[0].Pid
			child := get[int](r, e, "spawn", away)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			st := r.when(e, "another process", func(st task.ExecutorStatus) bool {
				return st.State == task.ExecutorReady && st.Instances[0].Pid != pid
			})
			contains(t, st.LastError, "signal 9")
			r.over(child, "the grandchild")

			child = get[int](r, e, "spawn", away)
			if err := e.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			r.over(child, "the grandchild of a stopped plugin")
		})
	}
}

// A line on stderr that go-plugin's parser cannot take is only a line; so is one
// of a megabyte, and what a plugin prints at once while nobody reads the log.
func TestAnythingOnStderr(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("loud")})
	r.ready(e)
	r.logs.wait(t, `{"@message": 1}`)
	r.logs.wait(t, "bytes more)")
	r.logs.wait(t, "[WARN]  x: low on fuel: litres=3")
	for _, line := range []string{`{"@message": 1}`, `{"@level": [], "@message": {}}`, "\x00\xff", "{", strings.Repeat("z", 300<<10)} {
		get[int](r, e, "say", line)
	}
	get[int](r, e, "say", "and on it goes")
	r.logs.wait(t, "and on it goes")
	if st := e.Status(); st.State != task.ExecutorReady || st.Instances[0].Restarts != 0 {
		t.Errorf("status %+v", st)
	}
}

// What keeps failing goes into quarantine, an operator's restart brings it back,
// and without one it is tried again by itself, rarely.
func TestQuarantine(t *testing.T) {
	r := newRig(t, func(o *Options) { o.QuarantineAfter = 3; o.QuarantineRetry = time.Hour })
	flag := filepath.Join(t.TempDir(), "burn")
	config := []byte(`{"die_if": ` + strconv.Quote(flag) + `}`)
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good"), Config: config})
	st := r.until(e, task.ExecutorQuarantined)
	contains(t, st.Reason, "3 times", "restart")
	r.logs.wait(t, "[WARN]  x: executor has changed: state=quarantined")
	contains(t, st.LastError, "exited with status 3", "on fire")
	if _, err := r.do(e, "pid", struct{}{}); !errors.Is(err, sdk.ErrReleased) {
		t.Errorf("attempt in quarantine: %v", err)
	}
	if err := e.Restart(context.Background()); err == nil {
		t.Error("the restart says nothing of its failure")
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	if err := e.Restart(context.Background()); err != nil {
		t.Error(err)
	}
	r.ready(e)
}

func TestQuarantineIsTriedAgain(t *testing.T) {
	r := newRig(t, func(o *Options) { o.QuarantineAfter = 1; o.QuarantineRetry = 10 * time.Millisecond })
	flag := filepath.Join(t.TempDir(), "burn")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good"), Config: []byte(`{"die_if": ` + strconv.Quote(flag) + `}`)})
	r.until(e, task.ExecutorQuarantined)
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	r.ready(e)
}

// While it is replaced there are two processes: the old one finishes what it
// runs, its outcome is settled there, and the new one takes what is new.
func TestRestartReplaces(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	old := r.ready(e).Instances[0]
	file, result := r.waiting(e)
	if err := e.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	st := e.Status()
	if len(st.Instances) != 2 || st.State != task.ExecutorReady {
		t.Fatalf("while one is replaced: %+v", st)
	}
	if pid := get[int](r, e, "pid", struct{}{}); pid == old.Pid {
		t.Error("the old process took a new attempt")
	}
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("attempt on the old process: %v", err)
	}
	r.when(e, "the old process to go", func(st task.ExecutorStatus) bool { return len(st.Instances) == 1 })
	r.over(old.Pid, "the old process")
}

// waiting has an attempt run that waits for a file beside the one it names, with ".go" at
// its end. result gets how it ended.
func (r *rig) waiting(e *Executor) (file string, result chan error) {
	r.Helper()
	file = filepath.Join(r.TempDir(), "w")
	result = make(chan error, 1)
	go func() { _, err := r.do(e, "wait", file); result <- err }()
	r.exists(file)
	return file, result
}

func (r *rig) exists(file string) {
	r.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s does not appear", file)
		}
		time.Sleep(2 * time.Millisecond) // another process makes it
	}
}

func TestDrain(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	pid := r.ready(e).Instances[0].Pid
	file, result := r.waiting(e)

	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan error, 2)
	go func() { drained <- e.Drain(ctx) }()
	r.until(e, task.ExecutorDraining)
	if _, err := r.do(e, "pid", struct{}{}); !errors.Is(err, sdk.ErrReleased) {
		t.Errorf("attempt while draining: %v", err)
	}
	cancel()
	if err := <-drained; err == nil {
		t.Error("a drain that was given up says nothing")
	}
	r.when(e, "the first drain to end", func(st task.ExecutorStatus) bool { return st.Reason != reasonDraining })
	go func() { drained <- e.Drain(context.Background()) }()
	r.when(e, "the second drain to begin", func(st task.ExecutorStatus) bool { return st.Reason == reasonDraining })
	if err := e.Restart(context.Background()); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("a restart while it drains: %v", err)
	}
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("the attempt that ran: %v", err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	r.until(e, task.ExecutorStopped)
	r.over(pid, "the drained process")
	if err := e.Drain(context.Background()); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("a drain of what is drained: %v", err)
	}
	if err := e.Restart(context.Background()); err != nil {
		t.Error(err)
	}
	r.ready(e)
}

// After a drain whose time ran out a restart brings the executor back, also if the first try
// fails. What still runs may finish.
func TestRestartAfterUnfinishedDrain(t *testing.T) {
	r := newRig(t, func(o *Options) { o.DrainTimeout = time.Minute })
	flag := filepath.Join(t.TempDir(), "burn")
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good"), Config: []byte(`{"die_if": ` + strconv.Quote(flag) + `}`)})
	pid := r.ready(e).Instances[0].Pid
	file, result := r.waiting(e)
	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(ctx) }()
	r.until(e, task.ExecutorDraining)
	cancel()
	<-drained
	r.when(e, "the drain to end", func(st task.ExecutorStatus) bool { return st.Reason != reasonDraining })
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.Restart(context.Background()); err == nil {
		t.Error("the restart says nothing of its failure")
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	r.another(e, pid)
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("the attempt that ran: %v", err)
	}
	r.over(pid, "the drained process")
}

// Stop waits for attempts, but not for ever: what does not finish stops and is
// given back.
func TestStopIsBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.DrainTimeout = 50 * time.Millisecond })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	r.ready(e)
	_, result := r.waiting(e)
	if err := e.Stop(context.Background()); err == nil {
		t.Error("the stop says nothing of what it cut off")
	}
	if err := <-result; err == nil {
		t.Error("the attempt succeeded")
	}
}

func TestStopWhileStarting(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.script("hangs", "exec sleep 300")})
	st := r.when(e, "a pid", func(st task.ExecutorStatus) bool { return len(st.Instances) == 1 && st.Instances[0].Pid != 0 })
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	r.over(st.Instances[0].Pid, "the process that was being started")
}

// An attempt to be joined waits for a process that is being started: nobody
// knows yet what became of it. Without one it is lost, not released.
func TestRejoinWithoutProcess(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	attempt := newTask("pid", struct{}{})
	attempt.Rejoin = true
	ctx, detach := context.WithCancelCause(context.Background())
	detach(sdk.ErrDetach)
	if _, err := newExecutor(&Supervisor{options: Options{Log: hclog.NewNullLogger()}}, task.ExecutorConfig{Name: "x"}, "").Execute(ctx, attempt, sdk.NewReporter(sdk.ReporterFuncs{})); !errors.Is(err, sdk.ErrDetach) {
		t.Errorf("rejoin, and the host lets go: %v", err)
	}
	if _, err := e.Execute(context.Background(), attempt, sdk.NewReporter(sdk.ReporterFuncs{})); !errors.Is(err, sdk.ErrLost) {
		t.Errorf("rejoin: %v", err)
	}
	e.Settled(attempt.Token)
	r.ready(e)
	if err := e.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Execute(context.Background(), attempt, sdk.NewReporter(sdk.ReporterFuncs{})); !errors.Is(err, sdk.ErrLost) {
		t.Errorf("rejoin without a process: %v", err)
	}
}

// joining is a connection that says what becomes of an attempt to be joined.
type joining struct {
	sdk.HostConnection
	result sdk.Result
	err    error // of the attempt, and of the connection
}

func (j joining) Execute(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
	return j.result, j.err
}
func (j joining) Revert(context.Context, sdk.Task, sdk.Reporter) error { return j.err }
func (j joining) Err() error                                           { return j.err }

// An attempt to be joined whose process is found dead waits for the next one, and is lost if
// that one dies, too. Others come back at once.
func TestRejoinOnDeadProcess(t *testing.T) {
	dead := joining{err: sdk.ErrLost}
	for name, c := range map[string]struct {
		next joining
		want error
	}{"the next one joins it": {joining{result: sdk.Text("joined")}, nil}, "the next one dies too": {dead, sdk.ErrLost}} {
		for _, revert := range []bool{false, true} {
			r := newRig(t)
			e := newExecutor(r.sup, task.ExecutorConfig{Name: "x"}, "")
			serve := func(conn joining) {
				e.routeTo(&instance{conn: conn})
				e.setState(task.ExecutorReady, "")
			}
			call := func(rejoin bool) (err error) {
				attempt := newTask("x", nil)
				attempt.Rejoin = rejoin
				if revert {
					return e.Revert(t.Context(), attempt, nil)
				}
				_, err = e.Execute(t.Context(), attempt, nil)
				return err
			}
			serve(dead)
			if err := call(false); !errors.Is(err, sdk.ErrLost) {
				t.Errorf("one that is not to be joined: %v", err)
			}
			end := make(chan error, 1)
			go func() { end <- call(true) }()
			r.until(e, task.ExecutorDegraded)
			serve(c.next)
			if err := r.ended(end); !errors.Is(err, c.want) {
				t.Errorf("%s (revert %v): %v, want %v", name, revert, err, c.want)
			}
		}
	}
}

// A process that is asked to end has its time for that, and one that does not is killed, which is told.
func TestEndsInItsTime(t *testing.T) {
	r := newRig(t, func(o *Options) { o.KillAfter = 10 * time.Second })
	r.serving("good")
	file := filepath.Join(t.TempDir(), "closed")
	for closed, killed := range map[string]bool{file: false, "never": true} {
		e := r.start(task.ExecutorConfig{Name: filepath.Base(closed), Plugin: "good", Config: fmt.Appendf(nil, `{"closed":%q}`, closed)})
		r.ready(e)
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if e.KilledAtEnd() != killed {
			t.Errorf("%s: killed %v, want %v", closed, e.KilledAtEnd(), killed)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("it had no time to close: %v", err)
	}
	contains(t, r.logs.String(), "did not end when it was asked to")
}

// A plugin ends with whatever started it, and one that does not is told from it, and ended.
func TestEndsWithHost(t *testing.T) {
	r := newRig(t)
	r.serving("good")
	r.script("stays", `echo '1|1|unix|/nowhere|grpc|'; while :; do sleep 0.1; done`)
	r.script("talks", `echo hello`)
	for name, says := range map[string]string{"good": "", "stays": "after its host has ended", "talks": "where the handshake belongs", "none": "unknown plugin"} {
		wait := 3 * time.Second
		if name == "good" {
			wait = time.Minute
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		err := r.sup.EndsWithHost(ctx, name)
		cancel()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
}
