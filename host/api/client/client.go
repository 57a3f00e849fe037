// Package client speaks to a host over /v1, in Go. It links no HTTP server library
// and nothing of the host but the types that go over the wire.
package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// CodeUnreachable is the code of a Client's error when no server answered.
const CodeUnreachable task.Code = "unreachable"

// Client speaks to a host over HTTP. Its errors are *task.Error with the code
// that the server gave, or CodeUnreachable. It may be used from many goroutines.
type Client struct {
	base  string
	token string
	http  *http.Client

	transport *http.Transport
	// met says that the host has answered: it is worth waiting for if it goes away.
	met atomic.Bool
}

// New makes a Client of the host at addr: host:port, or a URL. token may be
// empty where the host has none.
func New(addr, token string) (*Client, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, task.Errorf(task.CodeInvalidRequest, "%q is not the address of a host: want host:port, or a URL", addr)
	}
	tr := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
	}
	return &Client{base: strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/"), token: token, http: &http.Client{Transport: tr}, transport: tr}, nil
}

// TLS is what a client of an https address has besides what the system gives it: the paths of
// files in PEM, each of which may be empty.
type TLS struct {
	CA        string // the authorities by which the server is checked, in the place of the system's
	Cert, Key string // what proves who the client is
}

// UseTLS puts t in force. It must be called before the first request; the error says which
// file cannot be used.
func (c *Client) UseTLS(t TLS) error {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return err
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	c.transport.TLSClientConfig = conf
	return nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Addr is where the client sends its requests.
func (c *Client) Addr() string { return c.base }
