package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// maxHead is how many bytes the head of a request may have: its first line and its headers.
const maxHead = 32 << 10

// net/http answers what it can't make a request of by itself, in plain text and past
// every handler, and has no hook for that. So the connection looks at what is written
// while no handler has its request: nothing is but such a refusal, and it becomes the
// problem that it stands for.

// refusalListener gives connections whose refusals are problems.
type refusalListener struct{ net.Listener }

func (l refusalListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &refusalConn{Conn: c}, nil
}

// refusalConn is a connection that knows whether a handler has its request.
type refusalConn struct {
	net.Conn
	handled atomic.Bool
}

type connKey struct{}

// withConn lets a handler find its connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// markHandled says that what is written from here on is h's answer.
func markHandled(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rc, ok := r.Context().Value(connKey{}).(*refusalConn); ok {
			rc.handled.Store(true)
			if secure, ok := rc.Conn.(*tls.Conn); ok { // net/http does not see it
				state := secure.ConnectionState()
				r.TLS = &state
			}
		}
		h.ServeHTTP(w, r)
	})
}

// markIdle is told of a connection's states. It is idle once an answer was written whole.
func markIdle(c net.Conn, s http.ConnState) {
	if rc, ok := c.(*refusalConn); ok && s == http.StateIdle {
		rc.handled.Store(false)
	}
}

// plainHTTP is how requests begin that are not encrypted, as far as a record of TLS has a head.
var plainHTTP = []string{"GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO"}

// Read reads, and tells a client that does not know that TLS is spoken here.
func (c *refusalConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil && slices.Contains(plainHTTP, string(plain.RecordHeader[:])) {
		_, _ = plain.Conn.Write(refusal(task.Errorf(task.CodeInvalidRequest, "this server speaks HTTPS: ask it at https://")))
	}
	return n, err
}

// Write writes p, or the problem that it stands for.
func (c *refusalConn) Write(p []byte) (int, error) {
	if c.handled.Load() {
		return c.Conn.Write(p)
	}
	err := refusalOf(p)
	if err == nil {
		return c.Conn.Write(p)
	}
	if _, werr := c.Conn.Write(refusal(err)); werr != nil {
		return 0, werr
	}
	return len(p), nil
}

// CloseWrite lets net/http end an answer without a reset that could overtake it.
func (c *refusalConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// refusalOf is the error that an answer of net/http's own tells; nil if it tells none.
func refusalOf(answer []byte) *task.Error {
	line, _, _ := bytes.Cut(answer, []byte("\r\n"))
	_, said, _ := strings.Cut(string(line), " ")
	number, text, _ := strings.Cut(said, " ")
	status, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	switch status {
	case http.StatusBadRequest:
		_, why, known := strings.Cut(text, ": ")
		if !known {
			why = "its first line or a header cannot be read"
		}
		return task.Errorf(task.CodeInvalidRequest, "this is no request of HTTP/1.1: %s", why)
	case http.StatusRequestHeaderFieldsTooLarge:
		return task.Errorf(api.CodeHeadTooLarge, "the request's first line and its headers have more than %d bytes together", maxHead)
	case http.StatusNotImplemented:
		return task.Errorf(api.CodeNotImplemented, "the Transfer-Encoding is not known: send a body as chunked, or with its Content-Length")
	case http.StatusHTTPVersionNotSupported:
		return task.Errorf(api.CodeVersionNotSupported, "speak HTTP/1.1")
	case http.StatusExpectationFailed:
		return task.Errorf(api.CodeExpectationFailed, "Expect may say 100-continue and nothing else")
	}
	return nil
}

// refusal is a whole answer with err as its problem, after which the connection ends.
func refusal(err *task.Error) []byte {
	p, _ := problemOf(err)
	body := encodeProblem(p)
	resp := http.Response{StatusCode: p.Status, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header:        http.Header{"Content-Type": {problemType}, "X-Content-Type-Options": noSniff},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}
	var out bytes.Buffer
	if resp.Write(&out) != nil { // to memory: it cannot fail
		return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: close\r\n\r\n", p.Status, http.StatusText(p.Status))
	}
	return out.Bytes()
}
