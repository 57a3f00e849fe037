package remotequeue

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go"
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

func clientOptions(c credentials) ([]nats.Option, error) {
	var opts []nats.Option
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.User != "" || c.Password != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Creds != "" {
		if _, err := os.Stat(c.Creds); err != nil {
			return nil, fmt.Errorf("creds: %w", err)
		}
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.CA != "" {
		if _, err := os.Stat(c.CA); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		if _, err := os.Stat(c.Cert); err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	return opts, nil
}
