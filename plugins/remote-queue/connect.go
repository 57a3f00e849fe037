package remotequeue

import (
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

func (w *Worker) connect() error {
	opts := []nats.Option{nats.Name("taskhost worker " + w.options.Name), nats.MaxReconnects(-1), nats.ReconnectErrHandler(logSparsely(w.log)), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { w.log.Warn("broker", "error", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				w.log.Warn("the broker is away; what runs goes on and its results are kept", "error", err)
			}
		}),
		nats.ConnectHandler(w.handleConnected),
		nats.ReconnectHandler(func(nc *nats.Conn) { w.log.Info("the broker is back"); w.handleConnected(nc) })}
	c := w.options.credentials()
	url := w.options.URL
	if w.joinDialer != nil {
		j, err := readJoin(w.joinDialer.path)
		if err != nil {
			return err
		}
		url, c.Token = j.URL, j.Token
		if c.CA == "" {
			c.CA = j.CA
		}
		opts = append(opts, nats.SetCustomDialer(w.joinDialer))
	}
	if c.User == "" && c.Password == "" && c.Token != "" && c.Creds == "" {
		// The embedded broker knows a worker by its name and token; one with a token
		// of its own for all looks at that alone.
		c.User, c.Password = w.options.Name, c.Token
	} else if c.User == "" && c.Creds == "" {
		c.User = w.options.Name
	}
	more, err := clientOptions(c)
	if err != nil {
		return err
	}
	if w.nc, err = nats.Connect(url, append(opts, more...)...); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if _, err := w.nc.Subscribe(w.names.down(w.peer), w.receiveFromHost); err != nil {
		return err
	}
	_, err = w.nc.Subscribe(w.names.inbox(w.options.Name)+"."+w.peer.instance+".ack.*", w.handleAcceptConfirmed)
	return err
}

// handleConnected begins anew with a broker that just came (back): what was asked of the
// old connection is not answered any more.
func (w *Worker) handleConnected(nc *nats.Conn) {
	w.brokerPayload.Store(nc.MaxPayload())
	w.mu.Lock()
	for _, l := range w.executors {
		for _, p := range l.pullers {
			p.requested = 0
		}
	}
	w.mu.Unlock()
	w.describeNext.Store(true)
	wake(w.heartbeatWanted)
	wake(w.pullWanted)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *Worker) publish(subject string, data []byte) {
	if err := w.nc.Publish(subject, data); err != nil {
		w.log.Trace("publish", "subject", subject, "error", err)
	}
}

func (w *Worker) queueItem(it *item) { w.outbox.add(w.peer, it) }

// joinDialer finds a broker by its join file each time: after a restart it may
// listen elsewhere.
type joinDialer struct{ path string }

// Dial connects to where the join file says, whatever address was known before.
func (d *joinDialer) Dial(network, address string) (net.Conn, error) {
	if j, err := readJoin(d.path); err == nil {
		address = withoutScheme(j.URL)
	}
	return net.DialTimeout(network, address, 2*time.Second)
}
