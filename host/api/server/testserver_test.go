package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// testServer is the API as it is served: on a socket, before a real engine on a real store.
type testServer struct {
	t      *testing.T
	addr   string
	client *client.Client
	server *server.Server
	log    *syncBuffer
	active atomic.Int64 // connections with a request under way
	closed sync.Map     // remote addresses of connections that the server closed
	engine *engine.Engine
	access *identity.Access
	store  *sqlite.Store
	dir    string        // of the store
	gate   chan struct{} // each receive lets one "gated" go on
	began  chan string
}

func newTestServer(t *testing.T, opts server.Options) *testServer {
	t.Helper()
	r := &testServer{t: t, gate: make(chan struct{}), began: make(chan string, 100), log: &syncBuffer{}}
	exec, err := sdk.NewScripts(r.scripts()...)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(exec, opts)
	return r
}

func (r *testServer) serve(exec sdk.Executor, opts server.Options) {
	t := r.t
	r.dir = t.TempDir()
	store, err := sqlite.Open(t.Context(), r.dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.store = store
	t.Cleanup(func() { _ = store.Close() })
	r.engine = engine.New(engine.Options{
		Store: store, CancelGrace: 5 * time.Second, DrainTimeout: 10 * time.Millisecond,
		Executors: []registry.Binding{{Name: "x", Plugin: "scripts", Slots: 50, Executor: exec}},
		Types: map[string]task.TypeConfig{
			"flaky":   {MaxAttempts: 2, Backoff: task.Backoff{Initial: time.Millisecond, Max: time.Millisecond}},
			"crowded": {QueueLimit: 1},
		},
	})
	if err := r.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.engine.Close(context.Background()) })
	log := newLog(r.log)
	opts.Log = log
	r.access = newAccess(t, store, identity.Settings{})
	opts.Access = r.access
	r.listen(server.NewHandler(r.engine, opts), log)
	r.client = r.clientOf("")
}

// newAccess knows the tokens of a store, and runs until the test ends.
func newAccess(t *testing.T, store identity.Store, s identity.Settings) *identity.Access {
	t.Helper()
	a, err := identity.NewAccess(t.Context(), store, identity.Source{Now: time.Now, ID: engine.NewID, Random: rand.Read}, s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Run(ctx, nil, time.Hour, func(err error) { t.Errorf("audit: %v", err) })
	}()
	t.Cleanup(func() { stop(); <-ended })
	return a
}

// token makes a token and gives its secret. The first is an admin's.
func (r *testServer) token(owner string, role identity.Role) string {
	r.t.Helper()
	_, secret, err := r.access.Create(r.t.Context(), identity.Spec{Name: fmt.Sprint(role, " ", len(r.access.Tokens())), Owner: owner, Role: role})
	if err != nil {
		r.t.Fatal(err)
	}
	return secret
}

// quotas puts one quota in force, which each owner has.
func (r *testServer) quotas(each task.Quota) {
	r.t.Helper()
	if err := r.engine.SetQuotas(r.t.Context(), task.Quotas{Default: each}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *testServer) clientOf(secret string) *client.Client {
	r.t.Helper()
	c, err := client.New(r.addr, secret)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

func (r *testServer) listen(h http.Handler, log *slog.Logger) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.server = server.New(h, log)
	r.server.OnConnState(func(c net.Conn, s http.ConnState) {
		switch s {
		case http.StateActive:
			r.active.Add(1)
		case http.StateIdle:
			r.active.Add(-1)
		case http.StateClosed:
			r.active.Add(-1)
			r.closed.Store(c.RemoteAddr().String(), true)
		}
	})
	go func() { _ = r.server.Serve(l) }()
	r.t.Cleanup(func() { _ = r.server.Close() })
}

func (r *testServer) scripts() []sdk.Script {
	run := func(name string, fn func(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error)) sdk.Script {
		return sdk.Script{TypeInfo: sdk.TypeInfo{Name: name}, Run: fn}
	}
	type greet struct {
		Name string `json:"name"`
	}
	return []sdk.Script{
		run("echo", func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			return sdk.Bytes(sdk.ContentJSON, t.Input), nil
		}),
		run("text", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Text("<15.0>"), nil }),
		run("binary", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
			return sdk.Bytes("image/png", bytes.Repeat([]byte{0, 1, 2, 0xff}, 1<<19)), nil
		}),
		run("flaky", func(_ context.Context, _ sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
			rep.Log().Warn("about to fail", "why", "always")
			return sdk.Result{}, errors.New("it broke")
		}),
		run("gated", func(ctx context.Context, t sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
			rep.Log().Debug("waiting at the gate")
			rep.Progress(1, 4, "waiting")
			r.began <- t.ID
			select {
			case <-r.gate:
				rep.Log().Info("let through")
				return sdk.Text("through"), nil
			case <-ctx.Done():
				return sdk.Result{}, context.Cause(ctx)
			}
		}),
		run("crowded", func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) { return sdk.Text(""), nil }),
		sdk.Func("greet", func(_ context.Context, in greet, _ sdk.Reporter) (string, error) { return "hello " + in.Name, nil }),
	}
}

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body []byte
}

func (a *answer) json(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// do sends a request with header lines such as "Prefer: wait=5", and holds the answer
// against the document.
func (r *testServer) do(method, path, body string, header ...string) *answer {
	r.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.addr+path, rd)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Add(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // no redirects, no cookies
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var data []byte
	if req.URL.Path == "/v1/events" && resp.Header.Get("Content-Type") == "text/event-stream" && method != http.MethodHead {
		data = []byte(readBlock(r.t, bufio.NewReader(resp.Body))) // it has no end
	} else if data, err = io.ReadAll(resp.Body); err != nil {
		r.t.Fatal(err)
	}
	a := &answer{resp, data}
	if _, err := theContract().check(a); err != nil {
		r.t.Errorf("%s %s is not answered as the document says: %v\n%.500s", method, path, err, data)
	}
	return a
}

// readBlock reads up to the next empty line.
func readBlock(t *testing.T, rd *bufio.Reader) string {
	t.Helper()
	var block strings.Builder
	for {
		line, err := rd.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended after %q: %v", block.String(), err)
		}
		block.WriteString(line)
		if line == "\n" {
			return block.String()
		}
	}
}

// wants checks status and, for an error, the shape and code of the problem.
func (r *testServer) wants(a *answer, status int, code task.Code) api.Problem {
	r.t.Helper()
	if a.StatusCode != status {
		r.t.Fatalf("%s %s: status %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	if code == "" {
		return api.Problem{}
	}
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		r.t.Errorf("content type %q", ct)
	}
	var p api.Problem
	a.json(r.t, &p)
	if p.Code != code || p.Status != status || p.Type != api.ProblemType+string(code) || p.Title == "" || p.Detail == "" {
		r.t.Errorf("problem %s, want code %s", a.body, code)
	}
	return p
}

// submit submits over HTTP and gives the id.
func (r *testServer) submit(body string) string {
	r.t.Helper()
	a := r.do("POST", "/v1/tasks", body)
	r.wants(a, http.StatusAccepted, "")
	var t api.Task
	a.json(r.t, &t)
	return t.ID
}

// listed are the tasks of a list with that query.
func (r *testServer) listed(query string) []api.Task {
	r.t.Helper()
	var list api.TaskList
	a := r.do("GET", "/v1/tasks"+query, "")
	r.wants(a, http.StatusOK, "")
	a.json(r.t, &list)
	return list.Tasks
}

// wantCounts says how many tasks of a type are in which phase.
func (r *testServer) wantCounts(taskType string, want api.Counts) {
	r.t.Helper()
	ty, err := r.client.Type(r.t.Context(), taskType)
	if err != nil || ty.Counts != want {
		r.t.Errorf("%s: %+v, want %+v, %v", taskType, ty.Counts, want, err)
	}
}

func (r *testServer) final(id string) api.Task {
	r.t.Helper()
	ctx, stop := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer stop()
	t, err := r.client.Wait(ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// started waits until a gated task runs.
// until waits until something is true.
func (r *testServer) until(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never came true: %s", what)
		}
	}
}

func (r *testServer) started() {
	r.t.Helper()
	select {
	case <-r.began:
	case <-time.After(20 * time.Second):
		r.t.Fatal("the task did not start")
	}
}

// waitForRequests waits until n requests are under way. Connections that close
// before they were active count down too, so tests of it make none.
func waitForRequests(t *testing.T, r *testServer, n int64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); r.active.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests under way, want %d", r.active.Load(), n)
		}
	}
}

func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
