package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// persistence is how a stream outlasts a server that goes away: backing off, and
// giving up when it has met nobody for a while. A server never met is not waited for.
type persistence struct {
	seen  time.Time
	delay time.Duration
}

func newPersistence() *persistence { return &persistence{} }

func (p *persistence) met() { p.seen, p.delay = time.Now(), 0 }

// again waits, and says whether to try again after err.
func (p *persistence) again(ctx context.Context, err error) bool {
	var e *task.Error
	gone := errors.As(err, &e) && (e.Code == CodeUnreachable || e.Code == task.CodeStoreUnavailable)
	if !gone || p.seen.IsZero() || time.Since(p.seen) > patience || ctx.Err() != nil {
		return false
	}
	p.delay = min(max(2*p.delay, 100*time.Millisecond), 5*time.Second)
	return sleep(ctx, max(p.delay, min(e.RetryAfter, 10*time.Second)))
}

// errSilent ends a stream on which not even a heartbeat came.
var errSilent = errors.New("the server fell silent")

// silence is how long an event stream may say nothing; servers beat every 15 s.
const silence = time.Minute

// stream reads one connection: visit gets each line without its end. It returns
// nil when the server ended the answer.
func (c *Client) stream(ctx context.Context, req request, quiet time.Duration, p *persistence, visit func(line []byte) error) (status int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.answer(ctx, req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	p.met()
	beat := func() {}
	if quiet > 0 {
		t := time.AfterFunc(quiet, func() { cancel(errSilent) })
		defer t.Stop()
		beat = func() { t.Reset(quiet) }
	}
	rd := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := readLine(rd)
		if err == nil {
			beat()
			p.met()
			if err := visit(line); err != nil {
				return resp.StatusCode, err
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			return resp.StatusCode, nil
		}
		if errors.Is(context.Cause(ctx), errSilent) {
			return 0, &task.Error{Code: CodeUnreachable, Message: errSilent.Error()}
		}
		return resp.StatusCode, c.broken(ctx, req, err)
	}
}

// maxLine bounds what a server can make a client keep.
const maxLine = 64 << 20

func readLine(rd *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := rd.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, errors.New("a line of the stream is too long")
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, err // a line without its end was cut off
		default:
			return bytes.TrimRight(line, "\r\n"), nil
		}
	}
}

// LogOptions select log lines.
type LogOptions struct {
	Follow  bool // until the task is final
	After   int64
	Since   time.Time
	Level   string // and above
	Attempt int
}

func (o *LogOptions) query() url.Values {
	q := url.Values{}
	if o.After > 0 {
		q.Set("since", strconv.FormatInt(o.After, 10))
	} else if !o.Since.IsZero() {
		q.Set("since", o.Since.UTC().Format(time.RFC3339Nano))
	}
	if o.Level != "" {
		q.Set("level", o.Level)
	}
	if o.Attempt > 0 {
		q.Set("attempt", strconv.Itoa(o.Attempt))
	}
	return q
}

// Logs reads a task's log lines, each once, in order; with Follow as they come.
// It ends after an error.
func (c *Client) Logs(ctx context.Context, id string, o LogOptions) iter.Seq2[task.LogLine, error] {
	return func(yield func(task.LogLine, error) bool) {
		read := c.allLogs
		if o.Follow {
			read = c.followLogs
		}
		err := read(ctx, id, o, func(l task.LogLine) error {
			if !yield(l, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(task.LogLine{}, err)
		}
	}
}

// errStop says that the reader of an iterator has had enough.
var errStop = errors.New("stop")

func (c *Client) allLogs(ctx context.Context, id string, o LogOptions, visit func(task.LogLine) error) error {
	q := o.query()
	for {
		var page api.LogList
		if err := c.call(ctx, request{method: http.MethodGet, path: at(id, "logs"), query: q}, &page); err != nil {
			return err
		}
		for _, l := range page.Lines {
			if err := visit(l); err != nil {
				return err
			}
		}
		if page.Next == nil {
			return nil
		}
		q.Set("since", *page.Next)
	}
}

func (c *Client) followLogs(ctx context.Context, id string, o LogOptions, visit func(task.LogLine) error) error {
	p := newPersistence()
	for {
		q := o.query()
		q.Set("follow", "true")
		_, err := c.stream(ctx, request{method: http.MethodGet, path: at(id, "logs"), query: q}, 0, p, func(line []byte) error {
			if len(line) == 0 {
				return nil
			}
			var l task.LogLine
			if err := json.Unmarshal(line, &l); err != nil {
				return &task.Error{Code: task.CodeInternal, Message: "the server sent a log line that is no JSON", Cause: err}
			}
			o.After = l.Seq
			return visit(l)
		})
		if err == nil {
			// The server ends it when the task is final, or when it stops itself.
			t, gerr := c.Get(ctx, id)
			if gerr == nil && t.State.Final() || task.CodeOf(gerr) == task.CodeNotFound {
				return nil
			}
			err = gerr
		}
		if err == nil {
			err = &task.Error{Code: CodeUnreachable, Message: "the server ended the stream"}
		}
		if !p.again(ctx, err) {
			return err
		}
	}
}

// Watched is one thing that happened to a task: exactly one field is set.
type Watched struct {
	State    *api.StateEvent
	Progress *api.TaskProgress
	Reset    bool // what was told before is not of this history: it begins anew
}

// Events tells what happens to a task, from the event after that seq (0: from
// its beginning) until it is final. It connects again when the connection is
// lost, and misses nothing then. It ends after an error.
func (c *Client) Events(ctx context.Context, id string, after int64) iter.Seq2[Watched, error] {
	return func(yield func(Watched, error) bool) {
		err := c.watch(ctx, id, after, func(w Watched) error {
			if !yield(w, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Watched{}, err)
		}
	}
}

func (c *Client) watch(ctx context.Context, id string, last int64, visit func(Watched) error) error {
	p := newPersistence()
	for {
		h := http.Header{"Accept": {"text/event-stream"}}
		if last > 0 {
			h.Set("Last-Event-ID", strconv.FormatInt(last, 10))
		}
		final := false
		var sse sseParser
		status, err := c.stream(ctx, request{method: http.MethodGet, path: at(id, "events"), header: h}, silence, p, func(line []byte) error {
			w, ok, err := sse.line(line)
			if err != nil || !ok {
				return err
			}
			if w.State != nil {
				last, final = w.State.Seq, w.State.To.Final()
			} else if w.Reset {
				last = 0
			}
			return visit(w)
		})
		if status == http.StatusNoContent || err == nil && final {
			return nil
		}
		if err == nil {
			err = &task.Error{Code: CodeUnreachable, Message: "the server ended the stream"}
		}
		if !p.again(ctx, err) {
			return err
		}
	}
}

// sseParser reads the lines of server-sent events of a task.
type sseParser struct {
	kind string
	data []byte
}

// line takes one line; ok says that it ended an event of a known kind.
func (s *sseParser) line(line []byte) (w Watched, ok bool, err error) {
	if len(line) > 0 {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			s.kind = string(value)
		case "data":
			if len(s.data) > 0 {
				s.data = append(s.data, '\n')
			}
			s.data = append(s.data, value...)
		}
		return Watched{}, false, nil
	}
	kind, data := s.kind, s.data
	s.kind, s.data = "", nil
	if len(data) == 0 {
		return Watched{}, false, nil
	}
	switch kind {
	case "state":
		w.State = new(api.StateEvent)
		err = json.Unmarshal(data, w.State)
	case "progress":
		w.Progress = new(api.TaskProgress)
		err = json.Unmarshal(data, w.Progress)
	case "reset":
		w.Reset = true
	default:
		return Watched{}, false, nil
	}
	if err != nil {
		return Watched{}, false, &task.Error{Code: task.CodeInternal, Message: "the server sent an event that cannot be read", Cause: err}
	}
	return w, true, nil
}
