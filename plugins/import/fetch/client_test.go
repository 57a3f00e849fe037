package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

func portOf(t testing.TB, raw string) int {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func client(t testing.TB, opt Options, hosts []string, ports ...int) *Client {
	t.Helper()
	opt.Policy = policy(t, hosts, ports)
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func outcome(err error) sdk.Outcome { return sdk.OutcomeOf(context.Background(), sdk.Result{}, err) }

func get(t testing.TB, c *Client, url string) (string, error) {
	t.Helper()
	resp, err := c.Do(t.Context(), Request{URL: url})
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

func TestGet(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello "+r.UserAgent())
	}))
	defer srv.Close()
	got, err := get(t, client(t, Options{}, []string{"127.0.0.1"}, portOf(t, srv.URL)), srv.URL)
	if err != nil || got != "hello taskhost" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	if c := client(t, Options{}, nil); c.transport.Proxy != nil {
		t.Error("the client has a proxy")
	}
}

// A refused address must not even be connected to.
func TestLoopbackRefusedBeforeTheConnect(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	var conns atomic.Int32
	srv.Config.ConnState = func(net.Conn, http.ConnState) { conns.Add(1) }
	port := portOf(t, srv.URL)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"} {
		_, err := get(t, client(t, Options{}, nil, port), fmt.Sprintf("http://%s:%d/", host, port))
		if o := outcome(err); err == nil || !o.Permanent || !strings.Contains(o.Message, "allow_hosts") {
			t.Errorf("%s: %v (%+v)", host, err, o)
		}
	}
	// Some systems' lookups read these as addresses.
	resolver := dnsServer(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	for _, host := range []string{"127.1", "0x7f000001", "2130706433", "0177.0.0.1"} {
		if _, err := get(t, client(t, Options{Resolver: resolver}, nil, port), fmt.Sprintf("http://%s:%d/", host, port)); err == nil {
			t.Errorf("%s was fetched", host)
		}
	}
	if n := conns.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestRedirects(t *testing.T) {
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "secret %q %q", r.Header.Get("X-Api-Key"), r.Referer())
	}))
	defer secret.Close()
	srv := httptest.NewServer(nil)
	defer srv.Close()
	port, secretPort := portOf(t, srv.URL), portOf(t, secret.URL)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/loop": "/loop", "/once": "/done", "/meta": "http://169.254.169.254/latest/", "/scheme": "file:///etc/passwd",
			"/port":     "http://127.0.0.1:1/",
			"/address":  fmt.Sprintf("http://127.0.0.1:%d/", port),
			"/loopback": fmt.Sprintf("http://127.0.0.2:%d/", port),
			"/other":    fmt.Sprintf("http://127.0.0.1:%d/", secretPort),
			"/long":     "/" + strings.Repeat("a", maxURL),
		}[r.URL.Path]
		if to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = fmt.Fprintf(w, "done %q", r.Header.Get("X-Api-Key"))
	})
	c := client(t, Options{}, []string{"127.0.0.1"}, port, secretPort, 80)
	for path, want := range map[string]string{
		"/loop": "more than 10 redirects", "/meta": "link-local", "/scheme": `scheme "file"`, "/port": "allow_ports", "/loopback": "allow_hosts", "/long": "longer than",
	} {
		_, err := get(t, c, srv.URL+path)
		if o := outcome(err); err == nil || !o.Permanent || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	do := func(path string) string {
		resp, err := c.Do(t.Context(), Request{URL: srv.URL + path, Header: http.Header{"X-Api-Key": {"k"}}})
		if err != nil {
			return err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		data, _ := io.ReadAll(resp.Body)
		return string(data)
	}
	if got := do("/once"); got != `done "k"` {
		t.Error(got)
	}
	if got := do("/other"); got != `secret "" ""` {
		t.Errorf("another host was told: %s", got)
	}
	byName := fmt.Sprintf("http://localhost:%d", port)
	if _, err := get(t, client(t, Options{}, []string{"localhost"}, port), byName+"/address"); err == nil || !strings.Contains(err.Error(), "redirect to http://127.0.0.1") {
		t.Errorf("a name was allowed, its address was not: %v", err)
	}
	resp, err := c.Do(t.Context(), Request{URL: srv.URL + "/once", NoRedirects: true})
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

// A name that resolves to a public address when it is looked at, and to loopback when it
// is connected to, gains nothing: the address that is connected to is checked.
func TestRebinding(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside") }))
	defer srv.Close()
	port := portOf(t, srv.URL)
	var asked atomic.Int32
	resolver := dnsServer(t, func() netip.Addr {
		asked.Add(1)
		return netip.MustParseAddr("127.0.0.1")
	})
	target := fmt.Sprintf("http://rebind.example.org:%d/", port)
	_, err := get(t, client(t, Options{Resolver: resolver}, nil, port), target)
	if o := outcome(err); err == nil || !o.Permanent || !strings.Contains(err.Error(), `"rebind.example.org" resolves to 127.0.0.1, which is loopback`) {
		t.Errorf("%v", err)
	}
	if asked.Load() == 0 {
		t.Fatal("the name was not looked up")
	}
	got, err := get(t, client(t, Options{Resolver: resolver}, []string{"rebind.example.org"}, port), target)
	if err != nil || got != "inside" {
		t.Errorf("allowed by name: %q, %v", got, err)
	}

	// The first connection is allowed; it may not be what lets the second lookup's address pass.
	turn := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	var n atomic.Int32
	flip := dnsServer(t, func() netip.Addr { return turn[min(int(n.Add(1))-1, 1)] })
	c := client(t, Options{Resolver: flip}, []string{"127.0.0.1"}, port)
	if _, err := get(t, c, target); err != nil {
		t.Fatal(err)
	}
	c.CloseIdle()
	if _, err := get(t, c, target); err == nil || !strings.Contains(err.Error(), "127.0.0.2") {
		t.Errorf("second lookup: %v", err)
	}
}

// dnsServer answers each A question over loopback with what answer says.
func dnsServer(t *testing.T, answer func() netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n], answer); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// dnsReply answers the one question of a query; anything but A has no records.
func dnsReply(query []byte, answer func() netip.Addr) []byte {
	end := 12
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root, type and class
	if end > len(query) {
		return nil
	}
	reply := append([]byte(nil), query[:end]...)
	binary.BigEndian.PutUint16(reply[2:], 0x8180)
	for at := 6; at < 12; at += 2 {
		binary.BigEndian.PutUint16(reply[at:], 0)
	}
	if binary.BigEndian.Uint16(query[end-4:]) == 1 {
		binary.BigEndian.PutUint16(reply[6:], 1)
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, answer().AsSlice()...)
	}
	return reply
}

func TestBodyBounds(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush() // no Content-Length any more
		}
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	}))
	defer srv.Close()
	c := client(t, Options{MaxSize: 1000}, []string{"127.0.0.1"}, portOf(t, srv.URL))
	for _, path := range []string{"/", "/chunked"} {
		if got, err := get(t, c, srv.URL+path+"?n=1000"); err != nil || len(got) != 1000 {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
		got, err := get(t, c, srv.URL+path+"?n=1001")
		if !errors.Is(err, ErrTooLarge) || !outcome(err).Permanent || len(got) > 1000 {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
}

func TestTimeBounds(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "begin")
			w.(http.Flusher).Flush()
		}
		<-release
	}))
	defer srv.Close()
	defer close(release)
	port := portOf(t, srv.URL)
	for name, opt := range map[string]Options{
		"not finished within 20ms": {Timeout: 20 * time.Millisecond},
		"no data for 20ms":         {Stall: 20 * time.Millisecond},
	} {
		for _, path := range []string{"/head", "/body"} {
			_, err := get(t, client(t, opt, []string{"127.0.0.1"}, port), srv.URL+path)
			if err == nil || !strings.Contains(err.Error(), name) || outcome(err).Permanent {
				t.Errorf("%s%s: %v", name, path, err)
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	resp, err := client(t, Options{}, []string{"127.0.0.1"}, port).Do(ctx, Request{URL: srv.URL + "/body"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	cancel(sdk.ErrCancel)
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, sdk.ErrCancel) {
		t.Errorf("canceled: %v", err)
	}
}

func TestHeaderBound(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxResponseHeader))
	}))
	defer srv.Close()
	if _, err := get(t, client(t, Options{}, []string{"127.0.0.1"}, portOf(t, srv.URL)), srv.URL); err == nil {
		t.Error("a header of any length is read")
	}
}

func TestCutShort(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "ten bytes.")
	}))
	defer srv.Close()
	_, err := get(t, client(t, Options{}, []string{"127.0.0.1"}, portOf(t, srv.URL)), srv.URL)
	if !errors.Is(err, io.ErrUnexpectedEOF) || outcome(err).Permanent {
		t.Errorf("%v", err)
	}
}

func TestErrorsKeepSecrets(t *testing.T) {
	c := client(t, Options{}, []string{"127.0.0.1"}, 1)
	for _, raw := range []string{"http://u:hunter2@127.0.0.1:1/a?sig=hunter2", "http://u:hunter2@127.0.0.1:1/%zz"} {
		if _, err := get(t, c, raw); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}

func TestStatusError(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		code      int
		after     string
		permanent bool
		delay     time.Duration
	}{
		{301, "", true, 0}, {400, "", true, 0}, {401, "", true, 0}, {403, "", true, 0}, {404, "", true, 0}, {404, "5", true, 0}, {410, "", true, 0},
		{408, "", false, 0}, {425, "", false, 0}, {429, "", false, 0}, {500, "", false, 0}, {500, "9", false, 0}, {502, "", false, 0}, {504, "", false, 0},
		{429, "7", false, 7 * time.Second}, {503, "120", false, 2 * time.Minute}, {503, "", false, 0},
		{503, "Fri, 02 Jan 2026 03:05:05 GMT", false, time.Minute}, {503, "Fri, 02 Jan 2026 03:00:00 GMT", false, 0},
		{503, "soon", false, 0}, {503, "-4", false, 0}, {503, "99999999", false, maxRetryAfter},
	} {
		resp := &http.Response{StatusCode: c.code, Header: http.Header{}}
		if c.after != "" {
			resp.Header.Set("Retry-After", c.after)
		}
		o := outcome(StatusError(resp, now))
		if o.Kind != sdk.OutcomeFailed || o.Permanent != c.permanent || o.RetryAfter != c.delay {
			t.Errorf("%d %q: %+v", c.code, c.after, o)
		}
	}
}
