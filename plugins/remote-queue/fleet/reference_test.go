package fleet

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// rest is what the host's REST does with attempts.
type rest struct {
	mu       sync.Mutex
	inputs   map[string][]byte
	children map[string][]byte
	got      map[string][]byte
	types    map[string]string
	fails    int // answers of 503 before it works
}

func newRest() *rest {
	return &rest{inputs: map[string][]byte{}, children: map[string][]byte{}, got: map[string][]byte{}, types: map[string]string{}}
}

func (s *rest) has(t sdk.Task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[t.Token.String()] != nil
}

func (s *rest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/healthz" {
		return
	}
	if s.fails > 0 {
		s.fails--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) != 4 || parts[0] != "v1" || parts[1] != "attempts" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	token, what := parts[2], parts[3]
	switch {
	case r.Method == http.MethodGet && what == "input" && s.inputs[token] != nil:
		_, _ = w.Write(s.inputs[token])
	case r.Method == http.MethodGet && what == "children" && s.children[token] != nil:
		_, _ = w.Write(s.children[token])
	case r.Method == http.MethodPut && what == "result":
		data, err := io.ReadAll(r.Body)
		if err != nil || len(data) > 32<<20 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		s.got[token], s.types[token] = data, r.Header.Get("Content-Type")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// What no message carries goes by the host's REST, over TLS as well.
func TestByReference(t *testing.T) {
	t.Run("in clear", func(t *testing.T) { byReference(t, httptest.NewServer, "") })
	t.Run("over TLS", func(t *testing.T) {
		ca := filepath.Join(t.TempDir(), "ca.crt")
		byReference(t, func(h http.Handler) *httptest.Server {
			web := httptest.NewTLSServer(h)
			if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			return web
		}, ca)
	})
}

func byReference(t *testing.T, serve func(http.Handler) *httptest.Server, ca string) {
	s := newRest()
	web := serve(s)
	defer web.Close()
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rest": web.URL})
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "copy"}, Run: queuetest.Quick.Run},
		sdk.Func("huge", func(context.Context, any, sdk.Reporter) (string, error) { return strings.Repeat("x", 40<<20), nil }))
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f), HostCA: ca, Local: []worker.Local{{Name: "local", Executor: e}}})
	queuetest.Serves(t, f, "copy")
	if info, _ := f.Describe(t.Context()); info.MaxInput != 0 || info.MaxResult != 0 {
		t.Errorf("limits though the host can be reached: %+v", info)
	}
	task := newTask("copy", `"`+strings.Repeat("y", 6<<20)+`"`)
	s.mu.Lock()
	s.inputs[task.Token.String()], s.fails = task.Input, 2
	s.mu.Unlock()
	out := execute(t, f, task).wait(t, sdk.OutcomeSucceeded)
	if !out.Result.Stored || len(out.Result.Data) != 0 || out.Result.ContentType != sdk.ContentJSON {
		t.Errorf("the result is %d bytes, stored %v", len(out.Result.Data), out.Result.Stored)
	}
	s.mu.Lock()
	if !bytes.Equal(s.got[task.Token.String()], task.Input) || s.types[task.Token.String()] != sdk.ContentJSON {
		t.Error("the host has another result than the script gave")
	}
	s.mu.Unlock()
	if out := execute(t, f, newTask("huge", `1`)).wait(t, sdk.OutcomeFailed); out.Code != sdk.CodeResultTooLarge || !out.Permanent {
		t.Errorf("what the host does not take: %+v", out)
	}
}

// A large result that was put to a host which died before it was on record is put to
// the next one, however early its worker repeats the report.
func TestByReferenceToALaterHost(t *testing.T) {
	dir := t.TempDir()
	first, second := newRest(), newRest()
	one, two := httptest.NewServer(first), httptest.NewServer(second)
	defer one.Close()
	defer two.Close()
	settings := map[string]any{"listen": queuetest.FreeAddress(t), "rest": one.URL}
	f := openFleet(t, dir, settings)
	e, err := sdk.NewScripts(sdk.Func("big", func(context.Context, any, sdk.Reporter) (string, error) { return strings.Repeat("x", 6<<20), nil }))
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: "nats://" + settings["listen"].(string), Local: []worker.Local{{Name: "local", Executor: e}}})
	queuetest.Serves(t, f, "big")
	p := peers(f)[0]
	task := newTask("big", `1`)
	var on []byte
	res, err := f.Execute(t.Context(), task, sdk.NewReporter(sdk.ReporterFuncs{Started: func(handle []byte, _ string) error { on = handle; return nil }}))
	if err != nil || !res.Stored || !first.has(task) {
		t.Fatalf("the first host: %v, stored %v", err, res.Stored)
	}
	one.Close() // nothing is on record, nothing acked
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	settings["rest"] = two.URL
	f = openFleet(t, dir, settings)
	task.Rejoin, task.Handle = true, on
	a := execute(t, f, task)
	queuetest.Eventually(t, "joined", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
	// As a worker does that has not heard the new host's offer yet.
	say(t, f, p, wire.Item{Kind: wire.KindFinished, Token: task.Token, HostProcess: "EARLIER",
		Outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Result{ContentType: sdk.ContentJSON, Stored: true}}})
	if out := a.wait(t, sdk.OutcomeSucceeded); !out.Result.Stored || !second.has(task) {
		t.Errorf("stored %v, though the host has its bytes: %v", out.Result.Stored, second.has(task))
	}
}

// A script cannot say that its result is with the host.
func TestStoredIsNotTheScriptsToSay(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "claims"}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{Stored: true}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e}}})
	queuetest.Serves(t, f, "claims")
	if out := execute(t, f, newTask("claims", `1`)).wait(t, sdk.OutcomeFailed); out.Code != sdk.CodeProtocolError {
		t.Errorf("the outcome is %+v", out)
	}
}

// Where workers cannot reach the host's REST, the limits say so before anything is
// submitted.
func TestUnreachableHost(t *testing.T) {
	for name, url := range map[string]string{"nobody there": "http://" + queuetest.FreeAddress(t), "none": ""} {
		t.Run(name, func(t *testing.T) {
			f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rest": url})
			gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
			queuetest.Serves(t, f, "quick")
			queuetest.Eventually(t, "limits", func() bool { i, _ := f.Describe(t.Context()); return i.MaxInput > 0 && i.MaxResult > 0 })
			if url != "" {
				return
			}
			out := execute(t, f, newTask("quick", `"`+strings.Repeat("y", 6<<20)+`"`)).wait(t, sdk.OutcomeFailed)
			if !out.Permanent || !strings.Contains(out.Message, "broker carries") {
				t.Errorf("too large an input: %+v", out)
			}
			hidden := newTask("quick", `"small"`)
			hidden.Secret = true
			if out := execute(t, f, hidden).wait(t, sdk.OutcomeFailed); !out.Permanent || !strings.Contains(out.Message, "set host_url") {
				t.Errorf("a secret input: %+v", out)
			}
		})
	}
}
