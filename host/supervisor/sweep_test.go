package supervisor

import (
	"bufio"
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

	"github.com/hashicorp/go-hclog"
	"github.com/taskhost/taskhost/host/task"
)

// hostToBeKilled is a host process: it starts a plugin with a grandchild, says
// both pids, and waits to be killed.
func hostToBeKilled(dir string) {
	sup, err := Open(Options{RunDir: filepath.Join(dir, "run"), PluginDirs: []string{dir}})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	e, err := sup.Start(task.ExecutorConfig{Name: "x", Plugin: "good"}, "")
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	for e.Status().State != task.ExecutorReady {
		<-e.Changed()
	}
	res, err := (&rig{}).do(e, "spawn", true)
	fmt.Println(e.Status().Instances[0].Pid, string(res.Data), err)
	select {}
}

// What a host that was killed leaves behind is ended by the next one: the plugin
// (frozen here, so that it cannot end by itself) and what the plugin started.
// Records and sockets go, too.
func TestSweepAfterKilledHost(t *testing.T) {
	r := newRig(t)
	r.serving("good")
	self, _ := os.Executable()
	host := exec.Command(self)
	host.Env = append(os.Environ(), "SUPERVISOR_TEST_HOST="+r.dir)
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	var pid, child int
	if _, err := fmt.Sscan(line, &pid, &child); err != nil {
		t.Fatalf("host said %q", line)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(r.dir, "run")
	if _, err := Open(Options{RunDir: run}); err == nil || !strings.Contains(err.Error(), "in use by another taskhost") {
		t.Errorf("second host beside the first: %v", err)
	}
	_ = host.Process.Kill()
	_ = host.Wait()
	if left, _ := filepath.Glob(filepath.Join(run, "instances", "*")); len(left) != 1 {
		t.Errorf("on record: %q, want one", left)
	}
	if left, _ := filepath.Glob(filepath.Join(run, "s", "*", "*")); len(left) != 1 {
		t.Errorf("sockets before: %q, want one", left)
	}
	next, err := Open(Options{RunDir: run})
	if err != nil {
		t.Fatal(err)
	}
	r.over(pid, "the dead host's plugin")
	r.over(child, "the dead host's grandchild")
	for _, dir := range []string{"instances", "s", "bin"} {
		if left, _ := filepath.Glob(filepath.Join(run, dir, "*")); len(left) != 0 {
			t.Errorf("left in %s: %q", dir, left)
		}
	}
	if err := next.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// A pid that the kernel has given to another process is never touched: the start
// time or the boot differs, and the mark is missing.
func TestSweepSparesReusedPids(t *testing.T) {
	bystander := exec.Command("sleep", "300")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	pid := bystander.Process.Pid
	start, err := startTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, rec := range []record{
		{Boot: bootID(), Pid: pid, Start: start - 1},
		{Boot: "another boot", Pid: pid, Start: start},
		{Boot: bootID(), Pid: pid},
		{Boot: bootID(), Pid: 1},
		{Boot: bootID(), Pid: -1},
		{Boot: bootID()},
	} {
		rec.Instance = "spare" + strconv.Itoa(i)
		if err := rec.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "torn.json"), []byte(`{"inst`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sweep(dir, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	if !alive(pid, start) {
		t.Fatal("a bystander was ended")
	}
	rec := record{Instance: "right", Boot: bootID(), Pid: pid, Start: start}
	if err := rec.write(dir); err != nil {
		t.Fatal(err)
	}
	if err := sweep(dir, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	if alive(pid, start) {
		t.Error("the recorded process still runs")
	}
}

// The process is on record, with its pid, before it can be given anything.
func TestOnRecord(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	st := r.ready(e)
	records, err := readRecords(r.sup.recordDir)
	if err != nil || len(records) != 1 {
		t.Fatalf("records %+v, %v", records, err)
	}
	if rec, in := records[0], st.Instances[0]; rec.Instance != in.ID || rec.Pid != in.Pid || rec.Start == 0 || rec.Boot == "" {
		t.Errorf("record %+v of instance %+v", rec, in)
	}
	if err := r.sup.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if records, _ := readRecords(r.sup.recordDir); len(records) != 0 {
		t.Errorf("records after close: %+v", records)
	}
}

// A unix socket's path has room for 107 bytes: under a long run directory the
// sockets are elsewhere, private, and still swept.
func TestLongRunDir(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 30), "run")
	r := newRig(t, func(o *Options) { o.RunDir = long })
	if strings.HasPrefix(r.sup.socketDir, long) {
		t.Fatalf("sockets in %s", r.sup.socketDir)
	}
	if info, err := os.Stat(r.sup.socketDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("socket directory: %v, %v", info, err)
	}
	r.ready(r.start(task.ExecutorConfig{Plugin: r.serving("good")}))
	if err := r.sup.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.sup.socketDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket directory after close: %v", err)
	}

	dead := filepath.Join(os.TempDir(), "taskhost-dead-test")
	_ = os.Mkdir(dead, 0o700)
	if err := os.WriteFile(filepath.Join(long, "sockets.path"), []byte(dead), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := Open(r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dead host's socket directory stays: %v", err)
	}
	if err := next.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSocketsArePrivate(t *testing.T) {
	r := newRig(t)
	r.ready(r.start(task.ExecutorConfig{Plugin: r.serving("good")}))
	sockets, _ := filepath.Glob(filepath.Join(r.opts.RunDir, "s", "*", "*"))
	if len(sockets) != 1 {
		t.Errorf("sockets %q, want one in the run directory", sockets)
	}
	if info, err := os.Stat(r.opts.RunDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("run directory: %v, %v", info, err)
	}
}
