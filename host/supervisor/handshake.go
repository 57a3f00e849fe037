package supervisor

import (
	"bytes"
	"io"
	"sync"
)

// handshakeLine is the first line of stdout, as a reader for go-plugin: it gives the
// line when it is there, and then the end.
type handshakeLine struct {
	ready chan struct{}
	once  sync.Once
	line  []byte
	rest  []byte
}

func newHandshakeLine() *handshakeLine { return &handshakeLine{ready: make(chan struct{})} }

func (h *handshakeLine) set(line []byte) {
	h.once.Do(func() {
		h.line = bytes.Clone(line)
		h.rest = h.line
		close(h.ready)
	})
}

func (h *handshakeLine) end() { h.set(nil) }

// Read waits for the line. Only one goroutine reads.
func (h *handshakeLine) Read(b []byte) (int, error) {
	<-h.ready
	if len(h.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

func (h *handshakeLine) Close() error { return nil }

// text is the line if it has come, shortened for an error.
func (h *handshakeLine) text() (string, bool) {
	select {
	case <-h.ready:
		line := string(bytes.TrimSpace(h.line))
		if len(line) > 200 {
			line = line[:200] + "…"
		}
		return line, true
	default:
		return "", false
	}
}
