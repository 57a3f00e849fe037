// Package amqp keeps a connection to a RabbitMQ broker: it connects again whenever the
// connection is lost, says when the broker takes nothing because of an alarm, and publishes
// with the broker's confirmation.
package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"
	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
)

const (
	// heartbeat is how often either end is heard: a broker that is gone without a word is
	// noticed after three of them.
	heartbeat = 2 * time.Second
	// dialTimeout bounds one try to connect, with TLS and the login.
	dialTimeout = 10 * time.Second
	// writeTimeout bounds how long the broker may read nothing before the connection is
	// given up. It does so while an alarm is raised, and says that soon after.
	writeTimeout = 10 * time.Second
	// minPause and maxPause are between two tries to connect.
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
	// steadyAfter is how long a connection has to last for the next to be tried at once: one
	// may be refused something as soon as it is there, again and again.
	steadyAfter = 10 * time.Second
)

// ErrClosed is the error of whatever is asked of a connection that is not there.
var ErrClosed = errors.New("the broker is not connected")

// BlockedError says that the broker takes no messages: it is out of disk or of memory. It
// delivers what it has, and takes messages again once the alarm is over.
type BlockedError struct{ Reason string }

// Error is for operators.
func (e *BlockedError) Error() string {
	return "the broker takes nothing while its alarm is raised: " + e.Reason
}

// Options are how a connection is made, and who is told of it. Setup, Up and Down come one
// at a time, from a goroutine of the connection's own; none of them may wait for Close.
type Options struct {
	// URLs are amqp:// or amqps:// addresses, separated by commas: the nodes of one cluster,
	// which are tried in turn.
	URLs string
	// Name is shown in the broker's list of connections.
	Name        string
	Credentials config.Credentials
	Log         hclog.Logger
	// Setup makes what is needed on each new connection, and may be nil. An error ends the
	// connection, and it is tried again.
	Setup func(*amqp091.Connection) error
	// Up comes when the broker is there (again) and takes messages.
	Up func()
	// Down comes when the broker is away, for each vain try to reach it, and with a
	// BlockedError when it takes no messages though the connection stays.
	Down func(error)
}

// Connection is a connection that comes back. Its methods may be called by several
// goroutines at once.
type Connection struct {
	options Options
	urls    []string
	config  amqp091.Config
	ctx     context.Context
	cancel  context.CancelFunc
	loop    sync.WaitGroup

	mu      sync.Mutex
	conn    *amqp091.Connection // nil while there is none
	blocked *BlockedError
	// broken is a connection that was given up, and brokenBy why.
	broken   *amqp091.Connection
	brokenBy error
}

// New makes a connection, which Start opens. An error means that the options can never work.
func New(o Options) (*Connection, error) {
	c := &Connection{options: o}
	for _, u := range strings.Split(o.URLs, ",") {
		u = strings.TrimSpace(u)
		if _, err := amqp091.ParseURI(u); err != nil {
			return nil, fmt.Errorf("broker at url: %w", withoutSecrets(err))
		}
		c.urls = append(c.urls, u)
	}
	var err error
	if c.config, err = clientConfig(o); err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Start keeps the connection open until Close. The broker need not be there yet; the first
// try is through when Start returns. It is called once.
func (c *Connection) Start() {
	first := make(chan struct{})
	c.loop.Go(func() { c.run(sync.OnceFunc(func() { close(first) })) })
	<-first
}

// run connects again and again; tried is called after each try.
func (c *Connection) run(tried func()) {
	pause, again := newPause(), newPause()
	seldom := logSparsely(c.options.Log)
	for n := 0; c.ctx.Err() == nil; n++ {
		conn, err := c.dial(c.urls[n%len(c.urls)])
		if err != nil {
			if c.ctx.Err() == nil {
				c.options.Down(err)
				seldom(err)
			}
			tried()
			c.rest(pause)
			continue
		}
		pause.Reset()
		seldom = logSparsely(c.options.Log)
		began := time.Now()
		c.serve(conn, tried)
		n-- // the node that was there is tried first
		if time.Since(began) >= steadyAfter {
			again.Reset()
			continue
		}
		c.rest(again)
	}
}

func newPause() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: minPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: 0.3}
}

// rest waits for the next pause, or until Close.
func (c *Connection) rest(pause *backoff.ExponentialBackOff) {
	select {
	case <-c.ctx.Done():
	case <-time.After(pause.NextBackOff()):
	}
}

// dial makes one connection, with all that is needed on it.
func (c *Connection) dial(url string) (*amqp091.Connection, error) {
	conf := c.config
	conf.TLSClientConfig = c.config.TLSClientConfig.Clone() // the client library notes the server's name in it
	interrupt := func() bool { return true }
	conf.Dial = func(network, address string) (net.Conn, error) {
		raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(c.ctx, network, address)
		if err != nil {
			return nil, err
		}
		interrupt = context.AfterFunc(c.ctx, func() { _ = raw.Close() })
		return &boundedConn{raw}, raw.SetDeadline(time.Now().Add(dialTimeout)) // the login's; it is lifted afterwards
	}
	conn, err := amqp091.DialConfig(url, conf)
	defer func() { interrupt() }()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", withoutSecrets(err))
	}
	if c.options.Setup != nil {
		if err := c.options.Setup(conn); err != nil {
			_ = conn.CloseDeadline(time.Now().Add(time.Second))
			return nil, err
		}
	}
	return conn, nil
}

// serve waits until a connection ends, and tells of the broker's alarms.
func (c *Connection) serve(conn *amqp091.Connection, tried func()) {
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	blocked := conn.NotifyBlocked(make(chan amqp091.Blocking, 16))
	c.set(conn, nil)
	if c.ctx.Err() == nil {
		c.options.Up()
	}
	tried()
	for {
		select {
		case <-c.ctx.Done():
			c.set(nil, nil)
			_ = conn.CloseDeadline(time.Now().Add(time.Second))
			return
		case b, ok := <-blocked:
			if !ok {
				blocked = nil // the connection ends
				continue
			}
			c.noteBlocked(conn, b)
		case reason := <-closed:
			c.set(nil, nil)
			err := ErrClosed
			if reason != nil {
				err = reason
			}
			if by := c.whyBroken(conn); by != nil {
				err = by
			}
			if c.ctx.Err() == nil {
				c.options.Log.Warn("the broker is away", "error", err)
				c.options.Down(err)
			}
			return
		}
	}
}

func (c *Connection) noteBlocked(conn *amqp091.Connection, b amqp091.Blocking) {
	if b.Active {
		err := &BlockedError{b.Reason}
		c.set(conn, err)
		c.options.Log.Warn("the broker takes nothing; it is out of disk or of memory", "reason", b.Reason)
		c.options.Down(err)
		return
	}
	c.set(conn, nil)
	c.options.Log.Info("the broker takes messages again")
	c.options.Up()
}

func (c *Connection) set(conn *amqp091.Connection, blocked *BlockedError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	c.blocked = blocked
}

// Ready says why the broker takes no messages; nil if it does.
func (c *Connection) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conn == nil || c.conn.IsClosed():
		return ErrClosed
	case c.blocked != nil:
		return c.blocked
	}
	return nil
}

// Channel opens a channel on the connection as it is. It ends with that connection, or with
// the first thing on it that the broker refuses.
func (c *Connection) Channel() (*amqp091.Channel, error) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil, ErrClosed
	}
	return conn.Channel()
}

// Publisher opens a channel for publishing on the connection as it is.
func (c *Connection) Publisher() (*Publisher, error) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil, ErrClosed
	}
	return NewPublisher(conn)
}

// Do runs f with a channel of its own, and closes that afterwards. It is for what the broker
// may refuse, which closes the channel. A broker need not answer: when ctx ends Do returns,
// and f is left behind until the connection ends.
func (c *Connection) Do(ctx context.Context, f func(*amqp091.Channel) error) error {
	done := make(chan error, 1)
	go func() {
		ch, err := c.Channel()
		if err == nil {
			err = f(ch)
			_ = ch.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the broker does not answer: %w", context.Cause(ctx))
	}
}

// Require gives the connection up when the broker closes a channel of it, or ends what is
// consumed there: for what refuses something or was deleted the broker does either, and the
// connection stays. On the next one Options.Setup makes all anew.
func (c *Connection) Require(conn *amqp091.Connection, ch *amqp091.Channel) {
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	canceled := ch.NotifyCancel(make(chan string, 1))
	go func() {
		err := errors.New("the broker ended what was consumed: the queue is gone")
		select {
		case reason := <-closed:
			err = fmt.Errorf("the broker closed a channel: %w", orClosed(reason))
		case _, ok := <-canceled:
			if !ok {
				err = fmt.Errorf("the broker closed a channel: %w", orClosed(<-closed))
			}
		}
		c.giveUp(conn, err)
	}()
}

func orClosed(reason *amqp091.Error) error {
	if reason == nil {
		return ErrClosed
	}
	return reason
}

// Reconnect gives up the connection as it is: what was made on it is not as it has to be.
func (c *Connection) Reconnect(why error) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		c.giveUp(conn, why)
	}
}

// giveUp ends a connection, if it has not ended.
func (c *Connection) giveUp(conn *amqp091.Connection, why error) {
	if conn.IsClosed() {
		return
	}
	c.mu.Lock()
	c.broken = conn
	c.brokenBy = why
	c.mu.Unlock()
	_ = conn.CloseDeadline(time.Now().Add(time.Second))
}

// whyBroken is why a connection was given up; nil if it was not.
func (c *Connection) whyBroken(conn *amqp091.Connection) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != conn {
		return nil
	}
	return c.brokenBy
}

// LocalAddress is this end of the connection, without its port; empty if there is none.
func (c *Connection) LocalAddress() string {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// Close ends the connection. No event comes after it has returned.
func (c *Connection) Close() {
	c.cancel()
	c.loop.Wait()
}
