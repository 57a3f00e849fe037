package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// errSilent ends a stream on which not even a heartbeat came, and a request that is held
// for longer than was asked.
var errSilent = &task.Error{Code: CodeUnreachable, Message: "the server fell silent"}

// maxSilence is how long an event stream may say nothing; servers send a heartbeat every 15 s.
const maxSilence = time.Minute

// stream reads one connection: visit gets each line without its end. It returns
// nil when the server ended the answer, and gives up one that says nothing for
// longer than quiet, unless that is 0.
func (c *Client) stream(ctx context.Context, req request, quiet time.Duration, r *reconnect, visit func(line []byte) error) (status int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.do(ctx, req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	r.connected()
	heard := func() {}
	if quiet > 0 {
		t := time.AfterFunc(quiet, func() { cancel(errSilent) })
		defer t.Stop()
		heard = func() { t.Reset(quiet) }
	}
	rd := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := readLine(rd)
		if err == nil {
			heard()
			r.connected()
			if err := visit(line); err != nil {
				return resp.StatusCode, err
			}
			continue
		}
		if errors.Is(err, io.EOF) {
			return resp.StatusCode, nil
		}
		return resp.StatusCode, c.unreachable(ctx, req, err)
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

// streamEnded is the error of a stream that the server ended before the task was final.
func streamEnded() error {
	return &task.Error{Code: CodeUnreachable, Message: "the server ended the stream"}
}

// sequence is what read visits, one by one as they are asked for; an error of read
// comes last.
func sequence[T any](read func(visit func(T) error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := read(func(v T) error {
			if !yield(v, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			var none T
			yield(none, err)
		}
	}
}

// errStop says that the reader of an iterator has had enough.
var errStop = errors.New("stop")
