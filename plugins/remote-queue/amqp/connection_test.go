package amqp

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/sdk"
)

// client is a connection with a publisher, and what was said of the broker.
type client struct {
	*Connection

	mu        sync.Mutex
	publisher *Publisher
	ups       int
	downs     []error
}

// open makes a connection and opens it.
func open(o Options) (*Connection, error) {
	c, err := New(o)
	if err == nil {
		c.Start()
	}
	return c, err
}

func connect(t *testing.T, url string) *client {
	t.Helper()
	c := &client{}
	conn, err := open(Options{URLs: url, Name: "test", Log: queuetest.Log("amqp"),
		Setup: func(conn *amqp091.Connection) error {
			p, err := NewPublisher(conn)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.publisher = p
			return err
		},
		Up:   func() { c.mu.Lock(); defer c.mu.Unlock(); c.ups++ },
		Down: func(err error) { c.mu.Lock(); defer c.mu.Unlock(); c.downs = append(c.downs, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	c.Connection = conn
	return c
}

// publish sends one message through the default exchange and returns what became of it.
func (c *client) publish(t *testing.T, queue, text string) error {
	t.Helper()
	c.mu.Lock()
	p := c.publisher
	c.mu.Unlock()
	done := make(chan error, 1)
	if err := p.Publish("", queue, amqp091.Publishing{Body: []byte(text), DeliveryMode: amqp091.Persistent}, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-time.After(2 * confirmTimeout):
		t.Fatal("nothing is said of a message")
		return nil
	}
}

func (c *client) declare(t *testing.T, queue string, args amqp091.Table) {
	t.Helper()
	if err := c.Do(t.Context(), func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, args)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Of each message it is told what became of it: the broker has it, has no queue for it, or
// does not take it because the queue is full.
func TestPublish(t *testing.T) {
	r := queuetest.SharedRabbitMQ(t)
	c := connect(t, r.URL())
	c.declare(t, "amqp.confirm", amqp091.Table{"x-queue-type": "quorum"})
	c.declare(t, "amqp.full", amqp091.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	if err := c.publish(t, "amqp.confirm", "one"); err != nil {
		t.Errorf("a quorum queue: %v", err)
	}
	if err := c.publish(t, "amqp.none", "two"); !errors.Is(err, ErrUnroutable) {
		t.Errorf("no queue: %v", err)
	}
	if err := c.publish(t, "amqp.full", "three"); err != nil {
		t.Errorf("the first of a short queue: %v", err)
	}
	if err := c.publish(t, "amqp.full", "four"); !errors.Is(err, ErrNotTaken) {
		t.Errorf("a full queue: %v", err)
	}
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if err := c.publish(t, "amqp.none", "many"); !errors.Is(err, ErrUnroutable) {
				t.Errorf("no queue, many at once: %v", err)
			}
		})
		wg.Go(func() {
			if err := c.publish(t, "amqp.confirm", "many"); err != nil {
				t.Errorf("many at once: %v", err)
			}
		})
	}
	wg.Wait()
	if err := c.Do(t.Context(), func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclarePassive("amqp.none", true, false, false, false, nil)
		return err
	}); !NotFound(err) {
		t.Errorf("a queue that is not there: %v", err)
	}
	if err := c.Ready(); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// A broker that is killed comes back with what it confirmed, and the connection with it.
func TestReconnect(t *testing.T) {
	r := queuetest.SharedRabbitMQ(t)
	c := connect(t, r.URL())
	c.declare(t, "amqp.kept", amqp091.Table{"x-queue-type": "quorum"})
	if err := c.publish(t, "amqp.kept", "kept"); err != nil {
		t.Fatal(err)
	}
	r.Settle()
	r.Kill()
	queuetest.Eventually(t, "the broker is seen to be gone", func() bool { return errors.Is(c.Ready(), ErrClosed) })
	if err := c.publish(t, "amqp.kept", "lost"); err == nil {
		t.Error("a broker that is gone takes a message")
	}
	queuetest.Eventually(t, "vain tries are told", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.downs) >= 2
	})
	r.Start(t)
	queuetest.Eventually(t, "the broker is back", func() bool { return c.Ready() == nil })
	if err := c.publish(t, "amqp.kept", "second"); err != nil {
		t.Errorf("on the new connection: %v", err)
	}
	if err := c.Do(t.Context(), func(ch *amqp091.Channel) error {
		d, ok, err := ch.Get("amqp.kept", true)
		if err == nil && (!ok || string(d.Body) != "kept") {
			t.Errorf("what was confirmed is gone: %q", d.Body)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ups != 2 {
		t.Errorf("the broker came %d times", c.ups)
	}
}

// Of several addresses, the nodes of a cluster, one that is dead is passed by.
func TestDeadNode(t *testing.T) {
	r := queuetest.SharedRabbitMQ(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, "amqp://guest:guest@"+dead+", "+r.URL())
	queuetest.Eventually(t, "the node that lives is found", func() bool { return c.Ready() == nil })
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.downs) != 1 || !strings.Contains(c.downs[0].Error(), "connection refused") {
		t.Errorf("of the dead one is told: %v", c.downs)
	}
}

// A broker that is short of disk is as good as away, until it takes messages again.
func TestAlarm(t *testing.T) {
	r := queuetest.SharedRabbitMQ(t)
	c := connect(t, r.URL())
	c.declare(t, "amqp.alarm", nil)
	r.Control(t, "set_disk_free_limit", "1000000GB")
	lift := sync.OnceFunc(func() { r.Control(t, "set_disk_free_limit", "1MB") })
	defer lift()
	confirmed := make(chan error, 1)
	if err := c.publisher.Publish("", "amqp.alarm", amqp091.Publishing{}, func(err error) { confirmed <- err }); err != nil {
		t.Fatal(err)
	}
	var blocked *BlockedError
	queuetest.Eventually(t, "the alarm is told", func() bool { return errors.As(c.Ready(), &blocked) })
	if !strings.Contains(blocked.Error(), "disk") {
		t.Errorf("the reason is %q", blocked)
	}
	lift()
	queuetest.Eventually(t, "the alarm is over", func() bool { return c.Ready() == nil })
	if err := c.publish(t, "amqp.alarm", "after"); err != nil {
		t.Errorf("after the alarm: %v", err)
	}
	<-confirmed
}

// Over TLS, a broker is known by who signed its certificate.
func TestTLS(t *testing.T) {
	r := queuetest.SharedRabbitMQ(t)
	url := "amqps://guest:guest@" + r.TLSAddress
	for name, c := range map[string]struct {
		ca string
		ok bool
	}{"known": {r.CA, true}, "unknown": {"", false}} {
		var downs []error
		conn, err := open(Options{URLs: url, Name: "test", Log: queuetest.Log("amqp"), Credentials: config.Credentials{CA: sdk.Path(c.ca)},
			Up: func() {}, Down: func(err error) { downs = append(downs, err) }})
		if err != nil {
			t.Fatal(err)
		}
		if c.ok {
			queuetest.Eventually(t, "the broker listens with TLS, too", func() bool { return conn.Ready() == nil })
		}
		err = conn.Ready()
		conn.Close()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if !c.ok && (len(downs) == 0 || !strings.Contains(downs[0].Error(), "certificate")) {
			t.Errorf("%s: the error is %v", name, downs)
		}
	}
}

// What can never work is refused at once, and a password is in no error.
func TestRefusedOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"scheme":   {URLs: "nats://u:secret@127.0.0.1"},
		"address":  {URLs: "amqp://u:secret@127.0.0.1:port"},
		"creds":    {URLs: "amqp://127.0.0.1", Credentials: config.Credentials{Creds: "file"}},
		"no ca":    {URLs: "amqps://127.0.0.1", Credentials: config.Credentials{CA: "no-such-file"}},
		"no cert":  {URLs: "amqps://127.0.0.1", Credentials: config.Credentials{Cert: "no-such-file", Key: "no-such-file"}},
		"two ways": {URLs: "amqp://127.0.0.1", Credentials: config.Credentials{User: "u", Password: "secret", Token: "secret"}},
	} {
		c, err := open(o)
		if err == nil {
			c.Close()
			t.Errorf("%s: taken", name)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
	}
}
