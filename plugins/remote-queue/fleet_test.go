package remotequeue

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/sdk"
)

// A worker on the host's machine needs only the host's data directory.
func TestJoinByFile(t *testing.T) {
	host := t.TempDir()
	dir := filepath.Join(host, "executors", "fleet")
	f := openFleet(t, dir, nil)
	st, err := os.Stat(filepath.Join(dir, joinFile))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("join file: %v, %v", st, err)
	}
	g := newGates()
	g.worker(t, WorkerOptions{Join: host})
	serves(t, f, "quick")
	a := execute(t, f, newTask("quick", `"x"`))
	if out := a.wait(t, sdk.OutcomeSucceeded); string(out.Result.Data) != `"x"` {
		t.Errorf("the result is %s", out.Result.Data)
	}
	if a.node != "w1" {
		t.Errorf("it ran on %q", a.node)
	}
}

func TestJoinNeedsOne(t *testing.T) {
	host := t.TempDir()
	o := WorkerOptions{Name: "w1", Join: host, Local: []Local{{Name: "local", Executor: newGates().executor(t)}}}
	if _, err := NewWorker(o); err == nil || !strings.Contains(err.Error(), "no executor") {
		t.Errorf("none: %v", err)
	}
	for _, name := range []string{"a", "b"} {
		openFleet(t, filepath.Join(host, "executors", name), nil)
	}
	if _, err := NewWorker(o); err == nil || !strings.Contains(err.Error(), "say which") {
		t.Errorf("two: %v", err)
	}
	o.JoinExecutor = "b"
	if _, err := NewWorker(o); err != nil {
		t.Errorf("named: %v", err)
	}
}

func TestConfigRefused(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		want     string
	}{
		"open to all":      {map[string]any{"listen": "0.0.0.0:0"}, "worker_tokens"},
		"listen and url":   {map[string]any{"url": "nats://127.0.0.1:4222", "listen": "127.0.0.1:0"}, "listen"},
		"lapse too short":  {map[string]any{"heartbeat": "1s", "lapse": "1s"}, "lapse"},
		"not a duration":   {map[string]any{"lapse": "soon"}, "soon"},
		"number":           {map[string]any{"lapse": 5}, "duration"},
		"queue with dots":  {map[string]any{"queue": "a.b"}, "queue"},
		"cert without key": {map[string]any{"cert": "x"}, "key"},
		"user embedded":    {map[string]any{"user": "x"}, "url"},
		"unknown":          {map[string]any{"lisen": "127.0.0.1:0"}, "lisen"},
		"no credentials":   {map[string]any{"url": "nats://127.0.0.1:4222,nats://10.0.0.5:4222"}, "set token, user and password"},
		"a user alone":     {map[string]any{"url": "10.0.0.5:4222", "user": "x"}, "allow_no_credentials"},
		"a ca alone":       {map[string]any{"url": "nats://10.0.0.5", "ca": "x"}, "creds, or cert and key"},
		"open embedded":    {map[string]any{"allow_no_credentials": true}, "url"},
		"port taken":       {map[string]any{"listen": takenAddress(t)}, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := tryFleet(t, t.TempDir(), c.settings)
			if err == nil {
				_ = f.Close()
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error does not say %q: %v", c.want, err)
			}
		})
	}
}

func takenAddress(t *testing.T) string {
	p := newProxy(t, "")
	return p.l.Addr().String()
}

// A token lets in the worker of that name and no other, and holds it to its subjects.
func TestTokens(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "worker_tokens": map[string]string{"w1": "one", "w2": "two"}})
	url := f.broker.srv.ClientURL()
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"w1", "one", true}, {"w1", "two", false}, {"w3", "one", false}, {"w1", "", false}, {"", "", false}, {hostUser, "", false}, {hostUser, "one", false}} {
		nc, err := nats.Connect(url, nats.UserInfo(c.user, c.password))
		if (err == nil) != c.ok {
			t.Errorf("%s with %q: %v", c.user, c.password, err)
		}
		if nc != nil {
			nc.Close()
		}
	}
	refused := make(chan error, 10)
	nc, err := nats.Connect(url, nats.UserInfo("w1", "one"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	other := peer{"w2", "ABCDEFGH"}
	for what, do := range map[string]func() error{
		"read another's subject": func() error { _, err := nc.SubscribeSync(f.names.down(other)); return err },
		"read another's inbox":   func() error { _, err := nc.SubscribeSync(f.names.inbox("w2") + ".>"); return err },
		"read the starts":        func() error { _, err := nc.SubscribeSync(f.names.allStarts()); return err },
		"speak as another":       func() error { return nc.Publish(f.names.up(other, upHeartbeat), nil) },
		"speak as the host":      func() error { return nc.Publish(f.names.down(other), nil) },
		"delete the stream":      func() error { return nc.Publish("$JS.API.STREAM.DELETE."+f.names.stream(), nil) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		_ = nc.Flush()
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(patience):
			t.Errorf("a worker can %s", what)
		}
	}
	g := newGates()
	g.worker(t, WorkerOptions{URL: url, Token: "one"})
	serves(t, f, "quick")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
}

// What nobody has started can be taken back, and costs nothing.
func TestWithdraw(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	for _, cause := range []error{sdk.ErrCancel, sdk.ErrTimeout, sdk.ErrPause} {
		a := execute(t, f, newTask("gate", `"k"`))
		eventually(t, "published", func() bool { return pending(t, f) == 1 })
		a.cancel(cause)
		a.wait(t, sdk.OutcomeReleased)
		eventually(t, "taken out of the broker", func() bool { return pending(t, f) == 0 })
	}
	g := newGates()
	g.worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
	serves(t, f, "gate")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if n := g.count("k"); n > 0 {
		t.Errorf("it ran %d times", n)
	}
}

func pending(t *testing.T, f *fleet) uint64 {
	t.Helper()
	st, err := f.js.Stream(t.Context(), f.names.stream())
	if err != nil {
		return 0
	}
	return st.CachedInfo().State.Msgs
}

// A task goes where its labels are, and waits while they are nowhere.
func TestRoutes(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	url := f.broker.srv.ClientURL()
	g := newGates()
	g.worker(t, WorkerOptions{Name: "a", URL: url, Labels: map[string]string{"zone": "a"}})
	serves(t, f, "quick")
	routed := func(route map[string]string) *try {
		task := newTask("quick", `1`)
		task.Route = route
		return execute(t, f, task)
	}
	for range 5 {
		a := routed(map[string]string{"zone": "a"})
		if a.wait(t, sdk.OutcomeSucceeded); a.node != "a" {
			t.Errorf("zone a ran on %q", a.node)
		}
	}
	b := routed(map[string]string{"zone": "b"})
	both := routed(map[string]string{"zone": "b", "disk": "ssd"})
	routed(map[string]string{"zone": "a"}).wait(t, sdk.OutcomeSucceeded)
	select {
	case <-b.begun:
		t.Error("zone b ran though nobody is there")
	default:
	}
	g.worker(t, WorkerOptions{Name: "b", URL: url, Labels: map[string]string{"zone": "b"}})
	if b.wait(t, sdk.OutcomeSucceeded); b.node != "b" {
		t.Errorf("zone b ran on %q", b.node)
	}
	g.worker(t, WorkerOptions{Name: "c", URL: url, Labels: map[string]string{"zone": "b", "disk": "ssd", "more": "x"}})
	if both.wait(t, sdk.OutcomeSucceeded); both.node != "c" {
		t.Errorf("zone b with ssd ran on %q", both.node)
	}
}

// Types stay known while nobody serves them, also over a restart.
func TestTypesAreRemembered(t *testing.T) {
	dir := t.TempDir()
	f := openFleet(t, dir, map[string]any{"listen": "127.0.0.1:0"})
	g := newGates()
	w := g.worker(t, WorkerOptions{URL: f.broker.srv.ClientURL(), Labels: map[string]string{"zone": "a"}, Version: "7"})
	serves(t, f, "gate")
	info, err := f.Describe(t.Context())
	if err != nil || len(info.Nodes) != 1 {
		t.Fatalf("nodes: %+v, %v", info.Nodes, err)
	}
	if n := info.Nodes[0]; n.Name != "w1" || n.Version != "7" || n.Slots != 10 || n.Labels["zone"] != "a" ||
		n.Address != "127.0.0.1" || len(n.Types) != 2 || n.LastSeen.IsZero() {
		t.Errorf("node: %+v", n)
	}
	if err := w.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := func(f *fleet) {
		t.Helper()
		eventually(t, "the worker is gone", func() bool { return f.present(t) == 0 })
		info, _ := f.Describe(t.Context())
		if len(info.Types) != 2 || !info.Types[0].Unavailable || len(info.Types[0].Input) == 0 {
			t.Errorf("types without a worker: %+v", info.Types)
		}
	}
	gone(f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	gone(openFleet(t, dir, map[string]any{"listen": "127.0.0.1:0"}))
}

// A draining worker finishes what runs and takes nothing more.
func TestDrain(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	url := f.broker.srv.ClientURL()
	g := newGates()
	w := g.worker(t, WorkerOptions{URL: url})
	serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	<-g.at
	if err := f.ControlNode(t.Context(), "nobody", "drain"); err == nil {
		t.Error("a worker that is not there was drained")
	}
	if err := f.ControlNode(t.Context(), "w1", "drain"); err != nil {
		t.Fatal(err)
	}
	i, err := f.Describe(t.Context())
	if err != nil || len(i.Nodes) != 1 || !i.Nodes[0].Draining || len(i.Nodes[0].Running) != 1 || !i.Types[0].Unavailable {
		t.Errorf("shown at once as draining: %+v, %v", i, err)
	}
	later := execute(t, f, newTask("gate", `"later"`))
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(t.Context()) }()
	g.let("runs")
	runs.wait(t, sdk.OutcomeSucceeded)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if n := g.count("later"); n != 0 {
		t.Errorf("a draining worker began something new")
	}
	g.worker(t, WorkerOptions{Name: "w2", URL: url})
	g.let("later")
	if later.wait(t, sdk.OutcomeSucceeded); later.node != "w2" {
		t.Errorf("it ran on %q", later.node)
	}
}

// A drain that takes too long interrupts what still runs.
func TestDrainBounded(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := newGates()
	w := g.worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
	serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.at
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.Drain(ctx); err == nil {
		t.Error("the drain says that all is finished")
	}
	a.wait(t, sdk.OutcomeInterrupted)
	if err := g.ended("k"); !errors.Is(err, sdk.ErrDetach) {
		t.Errorf("the script was told %v", err)
	}
}

// The attempt's time begins with its start, and the worker keeps it.
func TestTimeoutOnTheWorker(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := newGates()
	g.worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
	serves(t, f, "gate")
	task := newTask("gate", `"k"`)
	task.Timeout = 20 * time.Millisecond
	if out := execute(t, f, task).wait(t, sdk.OutcomeFailed); out.Code != sdk.CodeTimeout {
		t.Errorf("the outcome is %+v", out)
	}
}

// A start that the host refuses to record is not made.
func TestStartRefused(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := newGates()
	g.worker(t, WorkerOptions{URL: f.broker.srv.ClientURL()})
	serves(t, f, "gate")
	_, err := f.Execute(t.Context(), newTask("gate", `"k"`), sdk.NewReporter(sdk.ReporterFuncs{
		Started: func([]byte, string) error { return errors.New("somebody canceled it") }}))
	if !errors.Is(err, sdk.ErrReleased) {
		t.Errorf("the outcome is %v", err)
	}
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if n := g.count("k"); n > 0 {
		t.Errorf("it ran %d times", n)
	}
}

// What comes twice runs once, and what makes no sense is counted and nothing else.
func TestDuplicatesAndGarbage(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	url := f.broker.srv.ClientURL()
	g := newGates()
	g.worker(t, WorkerOptions{URL: url})
	g.worker(t, WorkerOptions{Name: "w2", URL: url})
	serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.at
	body, _, _ := encodeStart(actExecute, a.task, f.maxMessage())
	subject := f.names.starts(lane{anyRoute, "gate"})
	for range 5 {
		if _, err := f.js.Publish(t.Context(), subject, body); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := nats.Connect(url, nats.UserInfo("w3", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	liar := peer{"w3", "ABCDEFGHIJKLMNOP"}
	forged := appendItem([]byte{formatVersion}, &item{kind: kindFinished, token: a.task.Token,
		outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Text("forged")}})
	junk := make([]byte, 300)
	_, _ = rand.Read(junk)
	for what, data := range map[string][]byte{upItems: junk, upHeartbeat: junk, "other": junk} {
		if err := nc.Publish(f.names.up(liar, what), data); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Publish(f.names.up(liar, upItems), forged); err != nil {
		t.Fatal(err)
	}
	if _, err := f.js.Publish(t.Context(), subject, junk); err != nil {
		t.Fatal(err)
	}
	eventually(t, "counted", func() bool { return f.count.garbage.Load() >= 3 && f.count.refused.Load() >= 1 })
	eventually(t, "the copies are gone", func() bool { return pending(t, f) == 0 })
	g.let("k")
	if out := a.wait(t, sdk.OutcomeSucceeded); string(out.Result.Data) != `"through k"` {
		t.Errorf("the result is %s", out.Result.Data)
	}
	if n := g.count("k"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
}

// More than the slots are given back to the broker, not kept.
func TestFlowControl(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	url := f.broker.srv.ClientURL()
	g := newGates()
	one := []Local{{Name: "local", Executor: g.executor(t), Slots: 1}}
	g.worker(t, WorkerOptions{URL: url, Local: one})
	serves(t, f, "gate")
	var all []*try
	for range 3 {
		all = append(all, execute(t, f, newTask("gate", `"k"`)))
	}
	<-g.at
	eventually(t, "two wait in the broker", func() bool { return pending(t, f) == 2 })
	g.worker(t, WorkerOptions{Name: "w2", URL: url})
	<-g.at
	<-g.at
	g.let("k")
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}

// A start can come for a lane that was just taken away: nothing more is asked for there.
func TestLaneTakenAway(t *testing.T) {
	l := &local{slots: 4, pullers: map[string]*puller{}}
	p := &puller{l: l, consumer: "any_quick"}
	if n := l.wants(p); n != 0 {
		t.Errorf("%d are asked for", n)
	}
	l.pullers[p.consumer] = p
	if n := l.wants(p); n != 4 {
		t.Errorf("%d are asked for with the lane there", n)
	}
}

func TestJSONOfNode(t *testing.T) {
	p := peer{"worker-1.example", "ABCDEFGH"}
	var h handleData
	if err := json.Unmarshal(handle(p), &h); err != nil || h.Worker != p.name || h.Instance != p.instance {
		t.Errorf("handle %s: %+v, %v", handle(p), h, err)
	}
	if q, err := parseHandle(handle(p)); err != nil || q != p {
		t.Errorf("%v, %v", q, err)
	}
	if q, what, ok := (names{"q"}).peerOf((names{"q"}).up(p, upItems)); !ok || q != p || what != upItems {
		t.Errorf("%v %q %v", q, what, ok)
	}
}

// Over TLS, with the token of all: the join file names what a worker has to trust.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key := certificates(t, dir)
	host := filepath.Join(dir, "host")
	f := openFleet(t, filepath.Join(host, "executors", "fleet"), map[string]any{
		"listen": "127.0.0.1:0", "token": "secret", "ca": ca, "cert": cert, "key": key})
	g := newGates()
	g.worker(t, WorkerOptions{Name: "joins", Join: host})
	g.worker(t, WorkerOptions{Name: "tells", URL: "tls://" + f.broker.srv.Addr().String(), CA: ca, Token: "secret"})
	eventually(t, "both are there", func() bool { i, _ := f.Describe(t.Context()); return len(i.Nodes) == 2 })
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if nc, err := nats.Connect(f.broker.srv.ClientURL(), nats.UserInfo("x", "secret")); err == nil {
		nc.Close()
		t.Error("connected without knowing the authority")
	}
}

// certificates makes an authority and a certificate for loopback.
func certificates(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	ca = write("ca.pem", "CERTIFICATE", rootDER, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, caKey)
	cert = write("cert.pem", "CERTIFICATE", leafDER, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	return ca, cert, write("key.pem", "PRIVATE KEY", keyDER, err)
}

// Workers are told of the host's REST where they can reach it.
func TestRestURL(t *testing.T) {
	const here, there = "http://127.0.0.1:7070", "http://10.0.0.1:7070"
	for _, c := range []struct {
		conf        config
		hosts, want string
	}{
		{config{}, here, here},
		{config{Listen: "127.0.0.1:4222"}, here, here},
		{config{Listen: "0.0.0.0:4222"}, here, ""},
		{config{Listen: "0.0.0.0:4222"}, there, there},
		{config{URL: "nats://127.0.0.1:4222, nats://localhost:4223"}, here, here},
		{config{URL: "nats://127.0.0.1:4222,nats://10.0.0.5:4222"}, here, ""},
		{config{URL: "nats://10.0.0.5:4222"}, there + "/", there},
		{config{URL: "nats://10.0.0.5:4222", HostURL: there}, here, there},
		{config{HostURL: "none"}, here, ""},
		{config{}, "", ""},
	} {
		if got := c.conf.restURL(c.hosts); got != c.want {
			t.Errorf("%+v and a host at %q: %q, want %q", c.conf, c.hosts, got, c.want)
		}
	}
}

// A broker that other machines reach needs credentials, of the host and of workers; one
// that asks nobody is warned of, once.
func TestCredentials(t *testing.T) {
	const far = "nats://10.0.0.5:4222"
	for name, c := range map[string]struct {
		url   string
		c     credentials
		allow bool
		ok    bool
		prove bool
	}{
		"none":             {url: far},
		"none, allowed":    {url: far, allow: true, ok: true},
		"loopback":         {url: "localhost:4222, tls://[::1]:4222", ok: true},
		"one is elsewhere": {url: "nats://127.0.0.1," + far},
		"not an address":   {url: "nats://127.0.0.1:4222,nats://%zz"},
		"token":            {url: far, c: credentials{Token: "t"}, ok: true, prove: true},
		"password":         {url: far, c: credentials{User: "u", Password: "p"}, ok: true, prove: true},
		"user alone":       {url: far, c: credentials{User: "u"}},
		"creds":            {url: far, c: credentials{Creds: "file"}, ok: true, prove: true},
		"certificate":      {url: far, c: credentials{Cert: "file", Key: "file"}, ok: true, prove: true},
		"ca alone":         {url: far, c: credentials{CA: "file"}},
		"in the address":   {url: "nats://u:p@10.0.0.5", ok: true, prove: true},
		"in one of two":    {url: "nats://u:p@10.0.0.5," + far},
	} {
		if err := checkCredentials(c.url, c.c, c.allow); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if got := c.c.prove(c.url); got != c.prove {
			t.Errorf("%s: they prove: %v", name, got)
		}
	}
	o := WorkerOptions{Name: "w1", Local: []Local{{Name: "local", Executor: newGates().executor(t)}}}
	if err := o.ParseQueue([]byte(`{"url": "` + far + `"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := NewWorker(o); err == nil || !strings.Contains(err.Error(), "allow_no_credentials") {
		t.Errorf("a worker without credentials: %v", err)
	}
	if err := o.ParseQueue([]byte(`{"url": "` + far + `", "allow_no_credentials": true}`)); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	o.Log = hclog.New(&hclog.LoggerOptions{Output: &lines})
	if _, err := NewWorker(o); err != nil {
		t.Errorf("a worker that may: %v", err)
	}
	if n := strings.Count(lines.String(), "[WARN]"); n != 1 {
		t.Errorf("%d warnings: %s", n, lines.String())
	}
}
