package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
)

// server is a taskhost process that the test starts, kills and starts again.
type server struct {
	t      *testing.T
	bin    string
	dir    string // holds data/, the config and the journal
	config []byte // as newServer wrote it, once rewrite was called
	cmd    *exec.Cmd
	output *output
	exited chan struct{}
}

// output is what a process says, to be read while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// newServer prepares a data directory and a config with the given blocks. A bin
// of "" is the built program; or it is this test's own binary, which is the
// program with one more script: see TestMain.
func newServer(t *testing.T, bin, blocks string) *server {
	t.Helper()
	dir := built(t)
	if bin == "" {
		bin = filepath.Join(dir, "taskhost")
	}
	s := &server{t: t, bin: bin, dir: t.TempDir()}
	config := fmt.Sprintf("listen = \"127.0.0.1:0\"\ndata_dir = %q\nplugin_dir = %q\n%s", s.data(), filepath.Join(dir, "plugins"),
		strings.ReplaceAll(blocks, "JOURNAL", s.journal()))
	if err := os.WriteFile(filepath.Join(s.dir, "taskhost.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd != nil {
			s.kill()
		}
	})
	return s
}

func (s *server) data() string    { return filepath.Join(s.dir, "data") }
func (s *server) journal() string { return filepath.Join(s.dir, "journal") }

// start runs the server and waits until it accepts tasks.
func (s *server) start() {
	s.t.Helper()
	s.run()
	s.ready()
}

// run runs the server.
func (s *server) run() {
	s.t.Helper()
	os.Remove(filepath.Join(s.data(), "address"))
	s.output = &output{}
	s.cmd = exec.Command(s.bin, "server", "--config", filepath.Join(s.dir, "taskhost.hcl"))
	s.cmd.Env = append(os.Environ(), "TASKHOST_TEST_JOURNAL=1")
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) { cmd.Wait(); close(exited) }(s.cmd, s.exited)
}

// ready waits until the server accepts tasks.
func (s *server) ready() {
	s.t.Helper()
	s.until("the server is ready", func() bool {
		select {
		case <-s.exited:
			s.t.Fatalf("the server ended:\n%s", s.output)
		default:
		}
		status, _, err := s.call("GET", "/readyz", "")
		return err == nil && status == http.StatusOK
	})
}

// kill is kill -9 of the host alone: its plugins are left to themselves.
func (s *server) kill() {
	s.cmd.Process.Signal(syscall.SIGKILL)
	<-s.exited
	s.cmd = nil
}

// stop is SIGTERM, and waits for the end.
func (s *server) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	defer func() { s.cmd = nil }()
	select {
	case <-s.exited:
	case <-time.After(60 * time.Second):
		s.cmd.Process.Signal(syscall.SIGKILL)
		<-s.exited
		return fmt.Errorf("did not end within a minute of SIGTERM:\n%s", s.output)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("exit code %d:\n%s", code, s.output)
	}
	if strings.Contains(s.output.String(), " m=+") {
		return fmt.Errorf("a time in the log has a reading of the monotonic clock:\n%s", s.output)
	}
	return nil
}

func (s *server) call(method, path, body string) (int, []byte, error) {
	addr, err := os.ReadFile(filepath.Join(s.data(), "address"))
	if err != nil {
		return 0, nil, err
	}
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+strings.TrimSpace(string(addr))+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

func (s *server) get(path string, v any) {
	s.t.Helper()
	status, data, err := s.call("GET", path, "")
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %v\n%s", path, status, err, data)
	}
	if err := json.Unmarshal(data, v); err != nil {
		s.t.Fatalf("GET %s: %v\n%s", path, err, data)
	}
}

// until looks again and again: another process's state has no channel to wait on.
func (s *server) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("still not so: %s\n%s", what, s.output)
		}
	}
}

// post makes what a body asks for and gives its id.
func (s *server) post(path, body string) (id string) {
	s.t.Helper()
	s.until("POST "+path+" is accepted", func() bool {
		status, data, err := s.call("POST", path, body)
		if err != nil || status == http.StatusServiceUnavailable { // it is just up, and may not know all types yet
			return false
		}
		var made struct{ ID string }
		if status >= 300 || json.Unmarshal(data, &made) != nil {
			s.t.Fatalf("POST %s: %d %s", path, status, data)
		}
		id = made.ID
		return true
	})
	return id
}

type apiTask struct {
	ID, State, Executor string
	Attempt, Lost       int
	MaxLost             int `json:"max_lost"`
	Result              any
	Error               *struct {
		Code    string
		Message string
		Details map[string]any
	}
}

// submit submits a task. A server that is just up may not know its type yet: that is tried again.
func (s *server) submit(body string) (id string) {
	s.t.Helper()
	s.until("the task is accepted", func() bool {
		id = s.trySubmit(body)
		return id != ""
	})
	return id
}

// trySubmit submits a task once; "" if no server answers, or it can't accept the task now.
func (s *server) trySubmit(body string) string {
	status, data, err := s.call("POST", "/v1/tasks", body)
	if err != nil {
		return ""
	}
	var t apiTask
	if status != http.StatusAccepted && status != http.StatusServiceUnavailable {
		s.t.Errorf("submit: %d %s", status, data)
	}
	if status != http.StatusAccepted || json.Unmarshal(data, &t) != nil {
		return ""
	}
	return t.ID
}

// load submits until told to stop and remembers what was accepted.
type load struct {
	mu       sync.Mutex
	accepted []string
	stop     chan struct{}
	wg       sync.WaitGroup
}

func (s *server) load(clients int, body func(n int) string) *load {
	l := &load{stop: make(chan struct{})}
	for c := range clients {
		l.wg.Go(func() {
			for n := c; ; n += clients {
				select {
				case <-l.stop:
					return
				default:
				}
				if id := s.trySubmit(body(n)); id != "" {
					l.mu.Lock()
					l.accepted = append(l.accepted, id)
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

func (l *load) end() []string {
	close(l.stop)
	l.wg.Wait()
	return l.accepted
}

// journaled is one start that a script wrote down before it worked. A line that was cut short is
// that of a process which was killed as it wrote: its script did not begin.
type journaled struct {
	task, token string
	attempt     int
}

func (s *server) starts() []journaled {
	s.t.Helper()
	f, err := os.Open(s.journal())
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	var out []journaled
	for sc := bufio.NewScanner(f); sc.Scan(); {
		p := strings.Fields(sc.Text())
		if len(p) != 4 {
			continue
		}
		n, err := strconv.Atoi(p[1])
		if err != nil {
			s.t.Fatal(err)
		}
		if p[3] == "start" {
			out = append(out, journaled{task: p[0], attempt: n, token: p[2]})
		}
	}
	return out
}

// settle waits until no task is unfinished, for as long as they become fewer.
func (s *server) settle() {
	s.t.Helper()
	unfinished := func() int64 {
		var now api.Status
		s.get("/v1/status", &now)
		return now.Tasks.Ready + now.Tasks.Waiting + now.Tasks.Active
	}
	for left := unfinished(); left > 0; {
		s.until(fmt.Sprintf("fewer tasks than %d are unfinished", left), func() bool {
			now := unfinished()
			fewer := now < left
			left = min(left, now)
			return fewer
		})
	}
}

// verify holds the outcome of a crash loop against what was promised.
func (s *server) verify(accepted []string) {
	s.t.Helper()
	byTask := map[string][]journaled{}
	for _, j := range s.starts() {
		byTask[j.task] = append(byTask[j.task], j)
	}
	states := map[string]int{}
	for _, id := range accepted {
		var t apiTask
		s.get("/v1/tasks/"+id, &t)
		states[t.State]++
		s.verifyAttempts(t, byTask[id], s.recordedAttempts(t))
	}
	for id := range byTask {
		if status, _, err := s.call("GET", "/v1/tasks/"+id, ""); err == nil && status == http.StatusNotFound {
			s.t.Errorf("task %s ran and is not on record", id)
		}
	}
	s.t.Logf("%d tasks accepted, final as %v, %d attempts ran", len(accepted), states, len(s.starts()))
}

// recordedAttempts are the attempts at t that its history tells of; it ended once.
func (s *server) recordedAttempts(t apiTask) map[int]bool {
	s.t.Helper()
	var history struct {
		Events []struct {
			From, To string
			Attempt  int
		}
	}
	s.get("/v1/tasks/"+t.ID+"/history", &history)
	recorded := map[int]bool{}
	finals := 0
	for _, e := range history.Events {
		switch e.To {
		case "running":
			recorded[e.Attempt] = true
		case "succeeded", "failed", "canceled":
			finals++
		}
	}
	if finals != 1 {
		s.t.Errorf("task %s is %s and ended %d times: %+v", t.ID, t.State, finals, history.Events)
	}
	return recorded
}

// verifyAttempts holds what the script of t wrote down against what is on record.
func (s *server) verifyAttempts(t apiTask, ran []journaled, recorded map[int]bool) {
	s.t.Helper()
	seen := map[int]string{}
	for _, j := range ran {
		if !recorded[j.attempt] {
			s.t.Errorf("task %s ran attempt %d, which is not on record", t.ID, j.attempt)
		}
		if _, twice := seen[j.attempt]; twice {
			s.t.Errorf("task %s ran attempt %d twice", t.ID, j.attempt)
		}
		if j.attempt > t.Attempt {
			s.t.Errorf("task %s ran attempt %d after it was final with %d", t.ID, j.attempt, t.Attempt)
		}
		seen[j.attempt] = j.token
	}
	if t.State == "succeeded" && seen[t.Attempt] == "" {
		s.t.Errorf("task %s succeeded with attempt %d, which its script never began", t.ID, t.Attempt)
	}
	if t.MaxLost == 0 && len(seen) > 1 {
		s.t.Errorf("task %s ran %d times, which its max_lost of 0 forbids", t.ID, len(seen))
	}
}

// rounds is how often a crash loop crashes: few in a test run, many in a soak.
func rounds(few int) int {
	if os.Getenv("TASKHOST_SOAK") != "" {
		return 40 * few
	}
	return few
}

func pause(least, most time.Duration) {
	time.Sleep(least + rand.N(most-least)) // how long the load goes on before a crash: chance is the point
}

func journalTask(n int) string {
	switch n % 5 {
	case 0:
		return `{"type":"journal","input":{"seconds":0.05},"max_lost":1000}`
	case 1:
		return `{"type":"journal","input":{"fail":1},"max_lost":1000}`
	case 2:
		return `{"type":"journal","input":{"seconds":0.2},"max_lost":0}`
	}
	return `{"type":"journal","input":{},"max_lost":1000}`
}

const inProcess = `
executor "local" {
  plugin = "eventlet-style"
  slots  = 50
  config {
    scripts = { journal = { path = "JOURNAL" } }
  }
}
`

const ownProcess = `
executor "own" {
  plugin = "journal"
  slots  = 50
  config {
    path = "JOURNAL"
  }
}
`

// kill -9 of the host under load, again and again: every accepted task ends
// final, nothing runs that is not on record, nothing runs after its end.
func TestCrashHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, bin, blocks string }{{"goroutines", os.Args[0], inProcess}, {"plugin process", "", ownProcess}} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.bin, c.blocks)
			var accepted []string
			for range rounds(5) {
				s.start()
				l := s.load(8, journalTask)
				pause(200*time.Millisecond, 700*time.Millisecond)
				s.kill()
				accepted = append(accepted, l.end()...)
			}
			s.start()
			s.settle()
			s.verify(accepted)
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// instances are the pids of the executor's processes.
func (s *server) instances(executor string) []int {
	s.t.Helper()
	var x struct {
		Instances []struct{ Pid int }
	}
	s.get("/v1/executors/"+executor, &x)
	var pids []int
	for _, i := range x.Instances {
		if i.Pid > 0 {
			pids = append(pids, i.Pid)
		}
	}
	return pids
}

// kill -9 and SIGSTOP of the plugin under load: it is started anew, its attempts
// are lost and run again, and no task that may not run twice does.
func TestCrashPlugin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		rounds int
		load   int // clients: those who submit to a frozen plugin's queue do so for seconds
	}{{"killed", syscall.SIGKILL, 4, 4}, {"frozen", syscall.SIGSTOP, 2, 1}} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, "", ownProcess)
			s.start()
			l := s.load(c.load, journalTask)
			for range rounds(c.rounds) {
				pause(100*time.Millisecond, 300*time.Millisecond)
				var pids []int
				s.until("the plugin runs", func() bool { pids = s.instances("own"); return len(pids) > 0 })
				for _, pid := range pids {
					syscall.Kill(pid, c.signal) // gone already if it was replaced meanwhile
				}
				s.until("another process has taken its place", func() bool {
					now := s.instances("own")
					return len(now) > 0 && now[0] != pids[0]
				})
			}
			accepted := l.end()
			s.settle()
			s.verify(accepted)
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
