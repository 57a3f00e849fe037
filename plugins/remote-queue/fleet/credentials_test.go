package fleet

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// A token lets in the worker of that name and no other, and holds it to its subjects.
func TestTokens(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "worker_tokens": map[string]string{"w1": "one", "w2": "two"}})
	url := brokerURL(t, f)
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"w1", "one", true}, {"w1", "two", false}, {"w3", "one", false}, {"w1", "", false}, {"", "", false}, {"taskhost", "", false}, {"taskhost", "one", false}} {
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
	other := wire.Peer{Name: "w2", Instance: "ABCDEFGH"}
	for what, do := range map[string]func() error{
		"read another's subject": func() error { _, err := nc.SubscribeSync(subjectsOf(f).Down(other)); return err },
		"read another's inbox":   func() error { _, err := nc.SubscribeSync(subjectsOf(f).Inbox("w2") + ".>"); return err },
		"read the starts":        func() error { _, err := nc.SubscribeSync(subjectsOf(f).AllStarts()); return err },
		"speak as another":       func() error { return nc.Publish(subjectsOf(f).Up(other, wire.ChannelHeartbeat), nil) },
		"speak as the host":      func() error { return nc.Publish(subjectsOf(f).Down(other), nil) },
		"delete the stream":      func() error { return nc.Publish("$JS.API.STREAM.DELETE."+subjectsOf(f).Stream(), nil) },
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
		case <-time.After(queuetest.Patience):
			t.Errorf("a worker can %s", what)
		}
	}
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: url, Credentials: config.Credentials{Token: "one"}})
	queuetest.Serves(t, f, "quick")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
}

// Over TLS, with the token of all: the join file names what a worker has to trust.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key, err := queuetest.Certificates(dir)
	if err != nil {
		t.Fatal(err)
	}
	host := filepath.Join(dir, "host")
	f := openFleet(t, filepath.Join(host, "executors", "fleet"), map[string]any{
		"listen": "127.0.0.1:0", "token": "secret", "ca": ca, "cert": cert, "key": key})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{Name: "joins", Join: host})
	gateWorker(t, g, worker.Options{Name: "tells", URL: "tls://" + config.WithoutScheme(brokerURL(t, f)), Credentials: config.Credentials{CA: sdk.Path(ca), Token: "secret"}})
	queuetest.Eventually(t, "both are there", func() bool { i, _ := f.Describe(t.Context()); return len(i.Nodes) == 2 })
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if nc, err := nats.Connect(brokerURL(t, f), nats.UserInfo("x", "secret")); err == nil {
		nc.Close()
		t.Error("connected without knowing the authority")
	}
}
