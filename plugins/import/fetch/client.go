package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// Bounds that no config needs to move.
const (
	maxRedirects      = 10
	maxResponseHeader = 64 << 10
	maxURL            = 8 << 10
	connectTimeout    = 15 * time.Second
)

// Options are a client's bounds. The zero value of each means its default.
type Options struct {
	Policy *Policy
	// Timeout bounds a request from its start to the last byte of its body.
	Timeout time.Duration
	// Stall bounds the time without a single byte, header or body. Default 1 minute.
	Stall time.Duration
	// MaxSize bounds a body in bytes; 0 means no bound. A larger one is
	// refused at its header if that tells, else when the bound is read past.
	MaxSize int64
	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver
}

// Client makes requests within a Policy. It ignores the proxies that the
// environment names: behind a proxy no address could be checked. It keeps no cookies.
// Use it from many goroutines.
type Client struct {
	options   Options
	transport *http.Transport
}

// New makes a Client. Without a policy it has the default one: public
// addresses, ports 80 and 443.
func New(opt Options) (*Client, error) {
	if opt.Policy == nil {
		p, err := NewPolicy(nil, nil, sdk.Config{}.Attribute)
		if err != nil {
			return nil, err
		}
		opt.Policy = p
	}
	if opt.Timeout < 0 || opt.Stall < 0 || opt.MaxSize < 0 {
		return nil, errors.New("fetch: a bound is negative")
	}
	if opt.Stall == 0 {
		opt.Stall = time.Minute
	}
	c := &Client{options: opt}
	c.transport = &http.Transport{
		Proxy:                  nil,
		DialContext:            c.dial,
		TLSHandshakeTimeout:    connectTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the bytes are what is hashed and bounded
		MaxResponseHeaderBytes: maxResponseHeader,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        30 * time.Second,
	}
	return c, nil
}

// dial checks each resolved address after the lookup and right before the connect.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		Timeout:  connectTimeout,
		Resolver: c.options.Resolver,
		Control: func(_, resolved string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return &Refusal{What: fmt.Sprintf("address %q cannot be checked", resolved)}
			}
			return c.options.Policy.CheckDial(host, to)
		},
	}
	return d.DialContext(ctx, network, address)
}

// Request is one request. Method defaults to GET.
type Request struct {
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// NoRedirects returns a redirect's answer instead of following it.
	NoRedirects bool
}

// Parse reads a URL and checks it as far as that can be done without a lookup.
// Its errors are permanent.
func (c *Client) Parse(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, sdk.Permanent(fmt.Errorf("URL is longer than %d bytes", maxURL))
	}
	u, err := url.Parse(raw)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL, which may hold a password
		}
		return nil, sdk.Permanent(fmt.Errorf("URL cannot be read: %w", err))
	}
	if err := c.options.Policy.CheckURL(u); err != nil {
		return nil, sdk.Permanent(err)
	}
	return u, nil
}

// Do sends one request and follows its redirects, each checked like the first
// URL. Any status is an answer; see [StatusError]. The caller closes the body, reads of
// which obey the same bounds. What the policy refuses is a permanent
// error; trouble on the way is a plain one, to be retried.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	u, err := c.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	watch := newWatch(ctx, c.options.Timeout, c.options.Stall)
	req, err := http.NewRequestWithContext(watch.ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		watch.stop()
		return nil, sdk.Permanent(err)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "taskhost")
	}
	client := http.Client{Transport: c.transport, CheckRedirect: c.checkRedirect(r.NoRedirects)}
	resp, err := client.Do(req)
	if err != nil {
		err = watch.explain(err)
		watch.stop()
		return nil, explainFailure(u, err)
	}
	resp.Body = &body{source: resp.Body, watch: watch, url: u, limit: c.options.MaxSize, remaining: c.options.MaxSize}
	if c.options.MaxSize > 0 && resp.ContentLength > c.options.MaxSize {
		_ = resp.Body.Close() // nothing was read, so nothing can be lost
		return nil, sdk.Permanent(tooLarge(u, c.options.MaxSize))
	}
	return resp, nil
}

func (c *Client) checkRedirect(stay bool) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if stay {
			return http.ErrUseLastResponse
		}
		if len(via) >= maxRedirects {
			return &Refusal{What: fmt.Sprintf("more than %d redirects", maxRedirects)}
		}
		if len(req.URL.String()) > maxURL {
			return &Refusal{What: fmt.Sprintf("redirect to a URL longer than %d bytes", maxURL)}
		}
		if err := c.options.Policy.CheckURL(req.URL); err != nil {
			return fmt.Errorf("redirect to %s: %w", ShowURL(req.URL), err)
		}
		req.Header.Del("Referer")
		if first := via[0].URL; first.Host != req.URL.Host || first.Scheme != req.URL.Scheme {
			// Headers were meant for the first host: any of them may be a secret.
			for name := range req.Header {
				switch name {
				case "User-Agent", "Accept", "Accept-Encoding", "Content-Type":
				default:
					delete(req.Header, name)
				}
			}
		}
		return nil
	}
}

// explainFailure names the request in an error and marks what no retry can cure.
func explainFailure(u *url.URL, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // its own text repeats the URL, query and all
	}
	var refused *Refusal
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", ShowURL(u), err)
	}
	var op *net.OpError
	if errors.As(err, &op) { // the dialer's wrapping says nothing new
		err = refused
	}
	return sdk.Permanent(fmt.Errorf("%s: %w", ShowURL(u), err))
}

// CloseIdle closes the connections that are kept for later requests.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }
