package remotequeue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/taskhost/taskhost/sdk"
)

// The fleet works on while the host is away, and its results wait for it.
func TestHostRestart(t *testing.T) {
	dir := t.TempDir()
	settings := map[string]any{"listen": freeAddress(t)}
	f := openFleet(t, dir, settings)
	g := newGates()
	g.worker(t, WorkerOptions{URL: "nats://" + settings["listen"].(string)})
	serves(t, f, "gate")
	long, ends := execute(t, f, newTask("gate", `"long"`)), execute(t, f, newTask("gate", `"ends"`))
	long.started(t)
	ends.started(t)
	<-g.at
	<-g.at
	longTask, endsTask := long.detach(), ends.detach()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g.let("ends") // nobody hears of it

	f = openFleet(t, dir, settings)
	ends, long = execute(t, f, endsTask), execute(t, f, longTask)
	if out := ends.wait(t, sdk.OutcomeSucceeded); string(out.Result.Data) != `"through ends"` {
		t.Errorf("the result is %s", out.Result.Data)
	}
	g.let("long")
	long.wait(t, sdk.OutcomeSucceeded)
	for _, key := range []string{"long", "ends"} {
		if n := g.count(key); n != 1 {
			t.Errorf("%s ran %d times", key, n)
		}
	}
}

// A start on record whose go was never heard is made when it is joined; one without
// a record is given back; one of a worker that is gone is lost.
func TestRejoin(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "1s"})
	unrecorded := newTask("gate", `"k"`)
	unrecorded.Rejoin = true
	execute(t, f, unrecorded).wait(t, sdk.OutcomeReleased)
	gone := newTask("gate", `"k"`)
	gone.Rejoin, gone.Handle = true, handle(peer{"w1", "GONEGONEGONE"})
	execute(t, f, gone).wait(t, sdk.OutcomeLost)
	broken := newTask("gate", `"k"`)
	broken.Rejoin, broken.Handle = true, []byte("?")
	execute(t, f, broken).wait(t, sdk.OutcomeLost)
}

// What a worker runs that no host wants is stopped, once the host has had time to
// say what it wants.
func TestUnwantedIsStopped(t *testing.T) {
	dir := t.TempDir()
	settings := map[string]any{"listen": freeAddress(t), "rejoin": "1s"}
	f := openFleet(t, dir, settings)
	g := newGates()
	g.worker(t, WorkerOptions{URL: "nats://" + settings["listen"].(string)})
	serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.at
	a.detach()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openFleet(t, dir, settings)
	eventually(t, "stopped", func() bool { return errors.Is(g.ended("k"), sdk.ErrCancel) })
}

// A worker that dies is noticed by its silence, and what it ran is lost.
func TestWorkerKilled(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	cmd := reexec(t, f.broker.srv.ClientURL())
	serves(t, f, "sleep")
	a := execute(t, f, newTask("sleep", `null`))
	a.started(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if out := a.wait(t, sdk.OutcomeLost); out.Code != sdk.CodeExecutorLost || !strings.Contains(out.Message, "proc") {
		t.Errorf("the outcome is %+v", out)
	}
	reexec(t, f.broker.srv.ClientURL())
	eventually(t, "its successor serves", func() bool {
		a := execute(t, f, newTask("quick", `1`))
		<-a.done
		return a.out.Kind == sdk.OutcomeSucceeded
	})
}

// A worker that was cut off for longer than the lapse comes back with a result that
// nobody wants; what it began in the meantime is stopped. A short cut is nothing.
func TestPartition(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	p := newProxy(t, f.broker.srv.Addr().String())
	g := newGates()
	w := g.worker(t, WorkerOptions{URL: "nats://" + p.l.Addr().String()})
	serves(t, f, "gate")

	short := execute(t, f, newTask("gate", `"short"`))
	<-g.at
	p.cut()
	g.let("short") // its result has to wait
	p.heal()
	short.wait(t, sdk.OutcomeSucceeded)

	late, runs := execute(t, f, newTask("gate", `"late"`)), execute(t, f, newTask("gate", `"runs"`))
	<-g.at
	<-g.at
	p.cut()
	late.wait(t, sdk.OutcomeLost)
	runs.wait(t, sdk.OutcomeLost)
	eventually(t, "the worker is gone", func() bool { return f.present(t) == 0 })
	g.let("late")
	p.heal()
	eventually(t, "the late result is thrown away and the other stopped", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.runs) == 0
	})
	if err := g.ended("runs"); !errors.Is(err, sdk.ErrCancel) {
		t.Errorf("the script was told %v", err)
	}
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
}

// An external broker: killed and back, wiped, and the host itself cut off. Nothing
// is lost and nothing runs twice.
func TestExternalBroker(t *testing.T) {
	s := externalServer(t)
	// Far longer than it takes nats-server to come back: what counts here is that
	// nothing is lost, not how soon a loss is seen.
	settings := map[string]any{"url": s.url(), "lapse": "3s"}
	f := openFleet(t, t.TempDir(), settings)
	g := newGates()
	g.worker(t, WorkerOptions{URL: s.url()})
	serves(t, f, "gate")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)

	for _, wiped := range []bool{false, true} {
		name := fmt.Sprintf("wiped=%v", wiped)
		t.Run(name, func(t *testing.T) {
			runs := execute(t, f, newTask("gate", `"runs `+name+`"`))
			<-g.at
			task := newTask("gate", `"waits `+name+`"`)
			task.Route = map[string]string{"later": name}
			waits := execute(t, f, task)
			eventually(t, "in the broker", func() bool { return pending(t, f) == 1 })
			s.kill()
			if wiped {
				s.wipe()
			}
			g.let("runs " + name) // ends while the broker is away
			s.start()
			runs.wait(t, sdk.OutcomeSucceeded)
			eventually(t, "in the broker again", func() bool { return pending(t, f) == 1 })
			g.worker(t, WorkerOptions{Name: "later", URL: s.url(), Labels: task.Route})
			g.let("waits " + name)
			waits.wait(t, sdk.OutcomeSucceeded)
			for _, key := range []string{"runs " + name, "waits " + name} {
				if n := g.count(key); n != 1 {
					t.Errorf("%q ran %d times", key, n)
				}
			}
		})
	}
}

// While the broker is away from the host as well, no lapse counts.
func TestHostCutOff(t *testing.T) {
	s := externalServer(t)
	p := newProxy(t, s.address)
	f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + p.l.Addr().String()})
	g := newGates()
	g.worker(t, WorkerOptions{URL: s.url()})
	serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.at
	before := f.clock.now()
	p.cut()
	eventually(t, "noticed", func() bool { return !f.nc.IsConnected() })
	held := time.NewTimer(2 * time.Duration(f.conf.Lapse)) // there is no event for nothing happening
	<-held.C
	select {
	case <-a.done:
		t.Fatalf("ended while nobody could hear of it: %+v", a.out)
	default:
	}
	if passed := f.clock.now() - before; passed > time.Duration(f.conf.Lapse) {
		t.Errorf("%s passed in the host's silence", passed)
	}
	p.heal()
	g.let("k")
	a.wait(t, sdk.OutcomeSucceeded)
}

// A broker that is full keeps nothing from being done: it waits.
func TestBrokerFull(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "max_bytes": 20 << 10, "lapse": "1m"})
	var all []*try
	pad := `"` + strings.Repeat("x", 4<<10) + `"`
	for range 10 {
		all = append(all, execute(t, f, newTask("quick", pad)))
	}
	eventually(t, "full", func() bool { n := pending(t, f); return n > 0 && n < 10 })
	newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}

// brokerAt runs a broker that carries little.
func brokerAt(t *testing.T, address string, payload int32) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.NewServer(&server.Options{Host: host, Port: n, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), MaxPayload: payload})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
}

// A task that turns out to be too large for its broker fails, by name, and holds up
// nothing behind it; one that the host's REST can carry goes that way.
func TestStartTooLargeForItsBroker(t *testing.T) {
	s := newRest()
	web := httptest.NewServer(s)
	defer web.Close()
	for name, url := range map[string]string{"no REST": "", "REST": web.URL} {
		t.Run(name, func(t *testing.T) {
			address := freeAddress(t)
			f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + address, "rest": url, "lapse": "1m"})
			task := newTask("quick", `"`+strings.Repeat("y", 100<<10)+`"`)
			s.mu.Lock()
			s.inputs[task.Token.String()] = task.Input
			s.mu.Unlock()
			big := execute(t, f, task) // while nobody knows what the broker carries
			eventually(t, "admitted", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
			small := execute(t, f, newTask("quick", `"small"`))
			brokerAt(t, address, 64<<10)
			newGates().worker(t, WorkerOptions{URL: "nats://" + address})
			small.wait(t, sdk.OutcomeSucceeded)
			if url != "" {
				big.wait(t, sdk.OutcomeSucceeded)
				return
			}
			if out := big.wait(t, sdk.OutcomeFailed); !out.Permanent || !strings.Contains(out.Message, "too large") {
				t.Errorf("the outcome is %+v", out)
			}
		})
	}
}

// A route whose consumer the broker refuses holds up no other, and what waits for it
// is given back with the broker's word.
func TestLaneRefused(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL(), Labels: map[string]string{"zone": "a"}})
	serves(t, f, "gate")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	eventually(t, "both types have their lanes", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.stream.lanes) == 2 })
	err := f.broker.srv.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{
		"": {MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: 2}})
	if err != nil {
		t.Fatal(err)
	}
	task := newTask("quick", `1`)
	task.Route = map[string]string{"zone": "a"}
	refused := execute(t, f, task)
	eventually(t, "refused once", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.stream.refused) == 1 })
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	select {
	case <-refused.done:
		t.Error("the other had to wait until the refused one was given back")
	default:
	}
	if out := refused.wait(t, sdk.OutcomeReleased); !strings.Contains(out.Message, "maximum consumers") {
		t.Errorf("the outcome is %+v", out)
	}
}

// A start that the stream refuses for its size fails.
func TestStartTooLargeForItsStream(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
	serves(t, f, "quick")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded) // the stream is there
	st, err := f.js.Stream(t.Context(), f.names.stream())
	if err != nil {
		t.Fatal(err)
	}
	c := st.CachedInfo().Config
	c.MaxMsgSize = 8 << 10
	if _, err := f.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	big := execute(t, f, newTask("quick", `"`+strings.Repeat("y", 10<<10)+`"`))
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if out := big.wait(t, sdk.OutcomeFailed); !out.Permanent || !strings.Contains(out.Message, "too large") {
		t.Errorf("the outcome is %+v", out)
	}
}

// rest is what the host's REST does with attempts.
type rest struct {
	mu     sync.Mutex
	inputs map[string][]byte
	got    map[string][]byte
	types  map[string]string
	fails  int // answers of 503 before it works
}

func newRest() *rest {
	return &rest{inputs: map[string][]byte{}, got: map[string][]byte{}, types: map[string]string{}}
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

// What no message carries goes by the host's REST.
func TestByReference(t *testing.T) {
	s := newRest()
	web := httptest.NewServer(s)
	defer web.Close()
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rest": web.URL})
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "copy"}, Run: quick.Run},
		sdk.Func("huge", func(context.Context, any, sdk.Reporter) (string, error) { return strings.Repeat("x", 40<<20), nil }))
	if err != nil {
		t.Fatal(err)
	}
	newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL(), Local: []Local{{Name: "local", Executor: e}}})
	serves(t, f, "copy")
	if info, _ := f.Describe(t.Context()); info.MaxInput != 0 || info.MaxResult != 0 {
		t.Errorf("limits though the host can be reached: %+v", info)
	}
	task := newTask("copy", `"`+strings.Repeat("y", 6<<20)+`"`)
	s.inputs[task.Token.String()], s.fails = task.Input, 2
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
	settings := map[string]any{"listen": freeAddress(t), "rest": one.URL}
	f := openFleet(t, dir, settings)
	e, err := sdk.NewScripts(sdk.Func("big", func(context.Context, any, sdk.Reporter) (string, error) { return strings.Repeat("x", 6<<20), nil }))
	if err != nil {
		t.Fatal(err)
	}
	w := newGates().worker(t, WorkerOptions{URL: "nats://" + settings["listen"].(string), Local: []Local{{Name: "local", Executor: e}}})
	serves(t, f, "big")
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
	eventually(t, "joined", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
	// As a worker does that has not heard the new host's offer yet.
	say(t, f, w.peer, item{kind: kindFinished, token: task.Token, host: "EARLIER",
		outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Result{ContentType: sdk.ContentJSON, Stored: true}}})
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
	newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL(), Local: []Local{{Name: "local", Executor: e}}})
	serves(t, f, "claims")
	if out := execute(t, f, newTask("claims", `1`)).wait(t, sdk.OutcomeFailed); out.Code != sdk.CodeProtocolError {
		t.Errorf("the outcome is %+v", out)
	}
}

// Where workers cannot reach the host's REST, the limits say so before anything is
// submitted.
func TestUnreachableHost(t *testing.T) {
	for name, url := range map[string]string{"nobody there": "http://" + freeAddress(t), "none": ""} {
		t.Run(name, func(t *testing.T) {
			f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rest": url})
			newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
			serves(t, f, "quick")
			eventually(t, "limits", func() bool { i, _ := f.Describe(t.Context()); return i.MaxInput > 0 && i.MaxResult > 0 })
			if url != "" {
				return
			}
			out := execute(t, f, newTask("quick", `"`+strings.Repeat("y", 6<<20)+`"`)).wait(t, sdk.OutcomeFailed)
			if !out.Permanent || !strings.Contains(out.Message, "broker carries") {
				t.Errorf("too large an input: %+v", out)
			}
		})
	}
}
