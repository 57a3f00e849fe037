package natsbroker

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
)

// logSparsely logs why a broker cannot be reached: at first, and then ever more rarely.
func logSparsely(log hclog.Logger) func(*nats.Conn, error) {
	var n atomic.Int64
	return func(_ *nats.Conn, err error) {
		if i := n.Add(1); i&(i-1) == 0 {
			log.Warn("the broker cannot be reached; it is tried again", "attempts", i, "error", err)
		}
	}
}

func clientOptions(c config.Credentials) ([]nats.Option, error) {
	var opts []nats.Option
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.User != "" || c.Password != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Creds != "" {
		if _, err := os.Stat(string(c.Creds)); err != nil {
			return nil, fmt.Errorf("creds: %w", err)
		}
		opts = append(opts, nats.UserCredentials(string(c.Creds)))
	}
	if c.CA != "" {
		if _, err := os.Stat(string(c.CA)); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		opts = append(opts, nats.RootCAs(string(c.CA)))
	}
	if c.Cert != "" {
		if _, err := os.Stat(string(c.Cert)); err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		opts = append(opts, nats.ClientCert(string(c.Cert), string(c.Key)))
	}
	return opts, nil
}

// commonOptions are those of both halves' connections: they never give up, and notice a
// broker that is gone within some seconds.
func commonOptions(name string, jitter time.Duration, log hclog.Logger) []nats.Option {
	return []nats.Option{nats.Name(name), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.RetryOnFailedConnect(true), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(jitter, jitter),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("broker", "error", err) })}
}

// CheckFiles reads the files that a block names, and neither listens nor connects.
func CheckFiles(c *config.Executor) error {
	var err error
	if c.URL == "" {
		_, err = serverTLS(c)
	} else {
		_, err = clientOptions(c.Credentials)
	}
	return err
}
