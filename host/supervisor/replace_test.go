package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// begun starts an attempt and returns when it says that it runs; the channel gives its end.
func (r *rig) begun(e *Executor, task sdk.Task) <-chan error {
	r.Helper()
	running, end := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		_, err := sdk.Execute(context.Background(), e, task, sdk.NewReporter(sdk.ReporterFuncs{
			Progress: func(int64, int64, string) { running <- struct{}{} }}))
		end <- err
	}()
	select {
	case <-running:
	case err := <-end:
		r.Fatalf("the attempt ended before it ran: %v", err)
	case <-time.After(20 * time.Second):
		r.Fatal("the attempt does not run")
	}
	return end
}

func (r *rig) ended(end <-chan error) error {
	r.Helper()
	select {
	case err := <-end:
		return err
	case <-time.After(20 * time.Second):
		r.Fatal("the attempt does not end")
		return nil
	}
}

// another waits for a ready process with another pid than one.
func (r *rig) another(e *Executor, pid int) task.ExecutorStatus {
	r.Helper()
	return r.when(e, "another process", func(st task.ExecutorStatus) bool {
		return st.State == task.ExecutorReady && newest(st).Pid != pid && newest(st).State == string(task.ExecutorReady)
	})
}

func newest(st task.ExecutorStatus) task.Instance {
	if len(st.Instances) == 0 {
		return task.Instance{}
	}
	return st.Instances[len(st.Instances)-1]
}

// A process that somebody told to stop has a successor at once, which takes what is new,
// and finishes what it runs. That is no failure, however often it happens.
func TestToldToStop(t *testing.T) {
	r := newRig(t, func(o *Options) { o.QuarantineAfter = 1 })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	old := r.ready(e).Instances[0].Pid
	file, result := r.waiting(e)
	if err := syscall.Kill(old, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	st := r.another(e, old)
	if len(st.Instances) != 2 || st.Instances[0].State != string(task.ExecutorDraining) || st.Instances[0].Reason != reasonDrainingByItself {
		t.Errorf("beside the successor: %+v", st.Instances)
	}
	if pid := get[int](r, e, "pid", struct{}{}); pid == old {
		t.Error("the process that drains took a new attempt")
	}
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.ended(result); err != nil {
		t.Errorf("what ran: %v", err)
	}
	r.over(old, "the process that drained")
	for range 3 {
		pid := newest(r.another(e, old)).Pid
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		old = pid
	}
	if st := r.another(e, old); st.LastError != "" {
		t.Errorf("it counts as an error: %s", st.LastError)
	}
}

// An attempt that goes on after it was given up moves new ones to a fresh process. Its
// own is killed when nothing else is left on it, which ends Execute: at once if it is alone.
func TestStuckAttempts(t *testing.T) {
	for name, busy := range map[string]bool{"busy loop": true, "deaf goroutine": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.QuarantineAfter = 1 })
			e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
			old := r.ready(e).Instances[0].Pid
			stuck := newTask("stubborn", busy)
			end := r.begun(e, stuck)
			file, neighbor := r.waiting(e)

			e.Settled(stuck.Token)
			st := r.another(e, old)
			if len(st.Instances) != 2 || st.Instances[0].State != string(task.ExecutorDraining) || st.Instances[0].Reason != reasonStuckAttempt {
				t.Errorf("beside the successor: %+v", st.Instances)
			}
			if pid := get[int](r, e, "pid", struct{}{}); pid == old {
				t.Error("the process with the stuck attempt took a new one")
			}
			select {
			case err := <-end:
				t.Fatalf("it ended while its neighbor runs: %v", err)
			default:
			}
			if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := r.ended(neighbor); err != nil {
				t.Errorf("its neighbor: %v", err)
			}
			if err := r.ended(end); !errors.Is(err, sdk.ErrLost) {
				t.Errorf("it ended with %v, want lost", err)
			}
			r.over(old, "the process with the stuck attempt")

			alone := newTask("stubborn", busy)
			end = r.begun(e, alone)
			e.Settled(alone.Token)
			_ = r.ended(end)
			if st := r.another(e, newest(st).Pid); st.LastError != "" {
				t.Errorf("it counts as an error: %s", st.LastError)
			}
		})
	}
}

// A process whose stuck attempt returns after all is ended when its last attempt has returned.
func TestStuckAttemptReturnsLate(t *testing.T) {
	r := newRig(t, func(o *Options) { o.KillAfter = 10 * time.Second })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	old := r.ready(e).Instances[0].Pid
	release := filepath.Join(t.TempDir(), "release")
	stuck := newTask("late", release)
	end := r.begun(e, stuck)
	file, neighbor := r.waiting(e)
	e.Settled(stuck.Token)
	r.another(e, old)
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.ended(end); err != nil {
		t.Errorf("the stuck one: %v", err)
	}
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.ended(neighbor); err != nil {
		t.Errorf("its neighbor: %v", err)
	}
	r.over(old, "the process with the stuck attempt")
	if e.KilledAtEnd() {
		t.Error("it was killed")
	}
}

// An executor that hands attempts on keeps its process: what was given up runs elsewhere, and
// a death is not put down to a suspect there.
func TestHandedOnAttemptsAreNotTheProcess(t *testing.T) {
	r := newRig(t, func(o *Options) { o.QuarantineAfter = 1; o.QuarantineRetry = time.Hour })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good"), Config: []byte(`{"deferred": true}`)})
	pid := r.ready(e).Instances[0].Pid
	if _, err := e.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	suspect := newTask("stubborn", false)
	suspect.Suspect = true
	end := r.begun(e, suspect)
	e.Settled(suspect.Token)
	if len(e.stuckSignal) != 0 {
		t.Error("its process is looked at")
	}
	if got := get[int](r, e, "pid", struct{}{}); got != pid {
		t.Errorf("the next attempt ran in %d, want %d", got, pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = r.ended(end)
	r.until(e, task.ExecutorQuarantined)
}

// A process with a stuck attempt that is stopped with its host lets its other attempts go.
func TestStopWithStuckAttempt(t *testing.T) {
	r := newRig(t, func(o *Options) { o.DrainTimeout = 100 * time.Millisecond })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	old := r.ready(e).Instances[0].Pid
	stuck := newTask("stubborn", false)
	end := r.begun(e, stuck)
	_, neighbor := r.waiting(e)
	e.Settled(stuck.Token)
	r.another(e, old)
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err) // the current process had nothing to finish
	}
	if err := r.ended(neighbor); !errors.Is(err, sdk.ErrInterrupted) {
		t.Errorf("the neighbor ended with %v, want interrupted", err)
	}
	_ = r.ended(end)
	r.over(old, "the process with the stuck attempt")
}

// Deaths while a suspect runs are put down to it: however many there are, the executor
// serves on. Without one they count.
func TestSuspectsDoNotQuarantine(t *testing.T) {
	r := newRig(t, func(o *Options) { o.QuarantineAfter = 2; o.QuarantineRetry = time.Hour })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	dies := func(suspect bool) {
		t.Helper()
		task := newTask("exit", 3)
		task.Suspect = suspect
		_, err := sdk.Execute(t.Context(), e, task, sdk.NewReporter(sdk.ReporterFuncs{}))
		e.Settled(task.Token)
		if !errors.Is(err, sdk.ErrLost) {
			t.Fatalf("the attempt ended with %v, want lost", err)
		}
	}
	pid := r.ready(e).Instances[0].Pid
	for range 6 {
		dies(true)
		st := r.another(e, pid)
		contains(t, st.LastError, "exited with status 3")
		pid = newest(st).Pid
	}
	if got := get[int](r, e, "pid", struct{}{}); got != pid {
		t.Errorf("a harmless task ran in %d, want %d", got, pid)
	}
	dies(false)
	r.another(e, pid)
	dies(false)
	contains(t, r.until(e, task.ExecutorQuarantined).Reason, "2 times")
}

// Busy loops that starve a process of its turns take no neighbor's life: it is heard late,
// and as long as it is heard it is not dead.
func TestStarvedProcessIsNotTakenForDead(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Silence = 5 * time.Second }) // as a host has it
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	pid := r.ready(e).Instances[0].Pid
	const loops = 12
	stuck := make([]sdk.Task, loops)
	ends := make([]<-chan error, loops)
	for i := range stuck {
		stuck[i] = newTask("stubborn", true)
		ends[i] = r.begun(e, stuck[i])
	}
	file, neighbor := r.waiting(e)
	for _, task := range stuck {
		e.Settled(task.Token)
	}
	r.another(e, pid)
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.ended(neighbor); err != nil {
		t.Errorf("the neighbor of %d busy loops: %v", loops, err)
	}
	for _, end := range ends {
		_ = r.ended(end)
	}
	r.over(pid, "the starved process")
}
