package remotequeue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// patience bounds every wait in the tests of this package.
const patience = 20 * time.Second

// eventually waits for something that another process or the broker does, and that
// nobody announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within %s", what, patience)
}

// openFleet makes an executor in dir; the settings go on top of quick lapses.
func openFleet(t *testing.T, dir string, settings map[string]any) *fleet {
	t.Helper()
	f, err := tryFleet(t, dir, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func tryFleet(t *testing.T, dir string, settings map[string]any) (*fleet, error) {
	t.Helper()
	all := map[string]any{"heartbeat": "50ms", "lapse": "1s", "rejoin": "5s"}
	hostURL, _ := settings["rest"].(string)
	changed, _ := settings["changed"].(func())
	maps.Copy(all, settings)
	delete(all, "rest")
	delete(all, "changed")
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cfg := sdk.NewConfig("fleet", data, changed)
	cfg.DataDir, cfg.Log, cfg.HostURL = dir, testLog(t, "host"), hostURL
	e, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return e.(*fleet), nil
}

// try is one attempt that a test makes.
type try struct {
	f      *fleet
	task   sdk.Task
	cancel context.CancelCauseFunc
	begun  chan struct{}
	done   chan struct{}
	out    sdk.Outcome

	mu     sync.Mutex
	node   string
	handle []byte
	starts int
}

func newTask(typ, input string) sdk.Task {
	t := sdk.Task{ID: rand.Text(), Type: typ, Attempt: 1, Input: json.RawMessage(input), Timeout: time.Minute}
	_, _ = rand.Read(t.Token[:])
	return t
}

// execute begins an attempt. It settles itself, as the host does.
func execute(t *testing.T, f *fleet, task sdk.Task) *try {
	t.Helper()
	a := &try{f: f, task: task, begun: make(chan struct{}), done: make(chan struct{})}
	var ctx context.Context
	ctx, a.cancel = context.WithCancelCause(context.Background())
	r := sdk.NewReporter(sdk.ReporterFuncs{Started: func(handle []byte, node string) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.handle, a.node = handle, node
		if a.starts++; a.starts == 1 {
			close(a.begun)
		}
		return nil
	}})
	go func() {
		defer close(a.done)
		res, err := f.Execute(ctx, task, r)
		if errors.Is(err, sdk.ErrDetach) {
			a.out = sdk.Outcome{Message: "detached"}
			return
		}
		a.out = sdk.OutcomeOf(ctx, res, err)
		f.Settled(task.Token)
	}()
	t.Cleanup(func() { a.cancel(sdk.ErrDetach); <-a.done })
	return a
}

func (a *try) wait(t *testing.T, kind sdk.OutcomeKind) sdk.Outcome {
	t.Helper()
	select {
	case <-a.done:
	case <-time.After(patience):
		t.Fatalf("no outcome within %s", patience)
	}
	if a.out.Kind != kind {
		t.Fatalf("the outcome is %s (%s), want %s", a.out.Kind, a.out.Message, kind)
	}
	return a.out
}

func (a *try) started(t *testing.T) {
	t.Helper()
	select {
	case <-a.begun:
	case <-a.done:
		t.Fatalf("ended before it started: %+v", a.out)
	case <-time.After(patience):
		t.Fatalf("did not start within %s", patience)
	}
}

// detach has the host let go of the attempt and gives it as the next one finds it.
func (a *try) detach() sdk.Task {
	a.cancel(sdk.ErrDetach)
	<-a.done
	task := a.task
	task.Rejoin, task.Handle = true, a.handle
	return task
}

// gates are scripts whose end the test decides, and that count their runs.
type gates struct {
	mu   sync.Mutex
	open map[string]chan struct{}
	runs map[string]int
	ends map[string]error // why a run was told to stop
	at   chan string      // whoever begins
}

func newGates() *gates {
	return &gates{open: map[string]chan struct{}{}, runs: map[string]int{}, ends: map[string]error{}, at: make(chan string, 1000)}
}

func (g *gates) gate(key string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[key] == nil {
		g.open[key] = make(chan struct{})
	}
	return g.open[key]
}

func (g *gates) let(key string) { close(g.gate(key)) }

func (g *gates) count(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs[key]
}

func (g *gates) ended(key string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ends[key]
}

// executor runs the type "gate", whose input is the key as a JSON string, and
// "quick", which returns its input.
func (g *gates) executor(t *testing.T) sdk.Executor {
	t.Helper()
	e, err := sdk.NewScripts(
		sdk.Func("gate", func(ctx context.Context, key string, _ sdk.Reporter) (string, error) {
			g.mu.Lock()
			g.runs[key]++
			g.mu.Unlock()
			g.at <- key
			select {
			case <-g.gate(key):
				return "through " + key, nil
			case <-ctx.Done():
				g.mu.Lock()
				g.ends[key] = context.Cause(ctx)
				g.mu.Unlock()
				return "", ctx.Err()
			}
		}),
		quick)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var quick = sdk.Script{TypeInfo: sdk.TypeInfo{Name: "quick"}, Run: func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	return sdk.Result{ContentType: sdk.ContentJSON, Data: t.Input}, nil
}}

func (g *gates) worker(t *testing.T, o WorkerOptions) *Worker {
	t.Helper()
	if o.Name == "" {
		o.Name = "w1"
	}
	if o.Local == nil {
		o.Local = []Local{{Name: "local", Executor: g.executor(t), Slots: 10}}
	}
	o.Log = testLog(t, o.Name)
	return runWorker(t, o)
}

// proxy is a TCP connection that can be cut.
type proxy struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: to, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() { _ = l.Close(); p.cut(); p.wg.Wait() })
	return p
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		p.mu.Lock()
		if err != nil || p.down {
			_ = c.Close()
			if far != nil {
				_ = far.Close()
			}
			p.mu.Unlock()
			continue
		}
		p.conns[c], p.conns[far] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { _, _ = io.Copy(far, c); _ = far.Close() })
		p.wg.Go(func() { _, _ = io.Copy(c, far); _ = c.Close() })
	}
}

// cut ends all connections and refuses new ones until heal.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// natsServer is a broker of another's: Debian's, as a process of its own.
type natsServer struct {
	t       *testing.T
	bin     string
	address string
	dir     string
	cmd     *exec.Cmd
}

func externalServer(t *testing.T) *natsServer {
	t.Helper()
	bin, err := exec.LookPath("nats-server")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/nats-server"); err != nil {
			t.Skip("LEFT OUT: nats-server is not installed (Debian package nats-server)")
		}
	}
	s := &natsServer{t: t, bin: bin, address: freeAddress(t), dir: t.TempDir()}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *natsServer) url() string { return "nats://" + s.address }

func (s *natsServer) start() {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(s.bin, "-a", host, "-p", port, "-js", "-sd", s.dir)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "nats-server listens", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// kill ends it as a power cut does, but for the disk.
func (s *natsServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *natsServer) wipe() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "jetstream")); err != nil {
		s.t.Fatal(err)
	}
}

// reexec starts this test binary as a worker process.
func reexec(t *testing.T, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REMOTEQUEUE_WORKER="+url)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// workerProcess is a worker as a process of its own: its script sleeps until it is
// told to stop, or says who it is.
func workerProcess(url string) {
	e, err := sdk.NewScripts(quick, sdk.Func("sleep", func(ctx context.Context, _ any, _ sdk.Reporter) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}))
	if err == nil {
		var w *Worker
		if w, err = NewWorker(WorkerOptions{Name: "proc", URL: url, Local: []Local{{Name: "local", Executor: e}}}); err == nil {
			err = w.Run(context.Background())
		}
	}
	fmt.Fprintln(os.Stderr, "worker process:", err)
	os.Exit(1)
}
