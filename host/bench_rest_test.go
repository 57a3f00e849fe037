package host_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host"
)

// restClient is the connections of a load generator that are kept and wait to be used.
//
// It does as little as such a program can: it writes a request that was prepared, at once, and reads the
// answer where it waits for it. An http.Client has three goroutines to a connection, makes each request and
// each answer of many parts, and would be a quarter of what is measured.
type restClient struct {
	addr string
	kept chan *restConn
}

type restConn struct {
	net.Conn
	answer *bufio.Reader
}

func newRESTClient(b *testing.B, h *host.Host) *restClient {
	c := &restClient{h.Addr(), make(chan *restConn, clients)}
	b.Cleanup(func() {
		close(c.kept)
		for conn := range c.kept {
			conn.Close()
		}
	})
	return c
}

// restRequest is a request to the REST side, as it goes over the wire.
func restRequest(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// send sends a request over a connection that is kept, or a new one, and reads the answer whole. It must be 202.
func (c *restClient) send(request []byte) error {
	var conn *restConn
	select {
	case conn = <-c.kept:
	default:
		dialed, err := net.Dial("tcp", c.addr)
		if err != nil {
			return err
		}
		conn = &restConn{dialed, bufio.NewReader(dialed)}
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	if err := conn.readAccepted(); err != nil {
		conn.Close()
		return err
	}
	c.kept <- conn
	return nil
}

func (c *restConn) readAccepted() error {
	status, err := c.answer.ReadString('\n')
	if err != nil {
		return err
	}
	length := -1
	for {
		line, err := c.answer.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == len("\r\n") {
			break
		}
		if n, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(n))); err != nil {
				return err
			}
		}
	}
	if !strings.HasPrefix(status, "HTTP/1.1 202 ") || length < 0 {
		return fmt.Errorf("%s with a body of %d bytes", strings.TrimSpace(status), length)
	}
	_, err = c.answer.Discard(length)
	return err
}

const restTask = `{"type":"noop","input":null}`

func BenchmarkRESTSingly(b *testing.B) {
	h := benchHost(b, false)
	c, request := newRESTClient(b, h), restRequest("/v1/tasks", restTask)
	perSecond(b, h, 1, func(int) {
		if err := c.send(request); err != nil {
			b.Error(err)
		}
	})
}

func BenchmarkRESTBatches(b *testing.B)   { restBatches(b, 100) }
func BenchmarkRESTThousands(b *testing.B) { restBatches(b, 1000) }

func restBatches(b *testing.B, size int) {
	h := benchHost(b, false)
	c := newRESTClient(b, h)
	batch := func(n int) []byte {
		return restRequest("/v1/batches", `{"tasks":[`+strings.Repeat(restTask+",", n-1)+restTask+`]}`)
	}
	whole := batch(size)
	perSecond(b, h, size, func(n int) {
		request := whole
		if n < size {
			request = batch(n)
		}
		if err := c.send(request); err != nil {
			b.Error(err)
		}
	})
}
