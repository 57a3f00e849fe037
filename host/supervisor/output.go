package supervisor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

const (
	maxLine        = 8 << 10 // bytes of a line that are kept
	tailLines      = 20      // of the end of the output, for errors
	tailLine       = 500     // bytes of a line there
	maxQueuedLines = 1024    // lines waiting for a slow log before they are dropped
)

// output is what one process prints: parsed, bounded, handed to the log, and
// its end kept for the error that explains a death. go-plugin's own parser is
// not used, because a line such as {"@message": 1} makes it panic.
type output struct {
	log     hclog.Logger
	lines   chan logLine
	dropped atomic.Int64
	done    chan struct{}
	close   sync.Once

	mu   sync.Mutex
	tail []string
}

func newOutput(log hclog.Logger) *output {
	o := &output{log: log, lines: make(chan logLine, maxQueuedLines), done: make(chan struct{})}
	go o.pump()
	return o
}

// pump writes to the log, which may be slow, apart from those that read.
func (o *output) pump() {
	for {
		select {
		case l := <-o.lines:
			o.write(l)
			continue
		default:
		}
		select {
		case l := <-o.lines:
			o.write(l)
		case <-o.done:
			return
		}
	}
}

func (o *output) write(l logLine) {
	if n := o.dropped.Swap(0); n > 0 {
		o.log.Warn("plugin wrote faster than the log takes lines", "dropped", n)
	}
	o.log.Log(l.level, l.message, l.args...)
}

// end lets the pump finish what waits. What is printed after it is not logged.
func (o *output) end() { o.close.Do(func() { close(o.done) }) }

// read takes lines from r until it ends. It never waits for the log.
func (o *output) read(r io.Reader) {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		line, more, err := readLine(br)
		if len(line) > 0 || more > 0 {
			o.addLine(line, more)
		}
		if err != nil {
			return
		}
	}
}

// readLine is one line of at most maxLine bytes, without its end; more counts
// the bytes left out. The line is only valid until the next call.
func readLine(br *bufio.Reader) (line []byte, more int, err error) {
	line, err = br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = slices.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			var rest []byte
			rest, err = br.ReadSlice('\n')
			more += len(bytes.TrimRight(rest, "\r\n"))
		}
	}
	return bytes.TrimRight(line, "\r\n"), more, err
}

func (o *output) addLine(line []byte, more int) {
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	if more > 0 {
		text += fmt.Sprintf(" … (%d bytes more)", more)
	}
	l := parseLine(text)
	o.mu.Lock()
	short := l.text()
	if len(short) > tailLine {
		short = strings.ToValidUTF8(short[:tailLine], "") + " …"
	}
	if len(o.tail) == tailLines {
		o.tail = append(o.tail[:0], o.tail[1:]...)
	}
	o.tail = append(o.tail, short)
	o.mu.Unlock()
	select {
	case o.lines <- l:
	default:
		o.dropped.Add(1)
	}
}

// tailText is the end of what was printed, indented, or "" if there was nothing.
func (o *output) tailText() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tail) == 0 {
		return ""
	}
	return "\n  " + strings.Join(o.tail, "\n  ")
}

// Write takes what go-plugin passes on of the plugin's os.Stdout and os.Stderr,
// in pieces that need not be lines. It never blocks: one that does holds up
// every print of the plugin.
func (o *output) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		line = bytes.TrimRight(line, "\r\n")
		more := max(0, len(line)-maxLine)
		if line = line[:len(line)-more]; len(line) > 0 {
			o.addLine(line, more)
		}
	}
	return len(p), nil
}
