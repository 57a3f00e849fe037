package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// readBody reads a JSON body of at most limit bytes. The deadline is on the
// body alone: once it is here the request may be held for as long as it asks.
func (a *api) readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := wantJSON(r); err != nil {
		return nil, err
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(a.opts.BodyTimeout)) // a test's recorder has none
	var buf bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= 1<<20 { // what is only announced gets no more
		buf.Grow(int(n) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
			return nil, tooLarge(limit)
		}
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			w.Header().Set("Connection", "close")
			return nil, task.Errorf(codeSlowRequest, "the body did not arrive within %s", a.opts.BodyTimeout)
		}
		return nil, &task.Error{Code: task.CodeInvalidRequest, Message: "the body could not be read", Cause: err}
	}
	// Left on, it would end a request that is held: the server reads ahead to
	// notice a client that goes away.
	_ = rc.SetReadDeadline(time.Time{})
	body := buf.Bytes()
	return body, checkJSON(body)
}

// noBody refuses a body where none belongs, so that a mistaken one is not
// silently without effect. An empty JSON object passes.
func (a *api) noBody(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(a.opts.BodyTimeout))
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	_ = rc.SetReadDeadline(time.Time{})
	if b := string(bytes.TrimSpace(body)); err != nil || b != "" && b != "{}" {
		return task.Errorf(task.CodeInvalidRequest, "%s %s takes no body", r.Method, r.URL.Path)
	}
	return nil
}

func tooLarge(limit int64) error {
	return task.Errorf(task.CodeTooLarge, "the body is larger than %d bytes", limit)
}

func wantJSON(r *http.Request) error {
	ct := r.Header.Get("Content-Type")
	if ct == "" || ct == "application/json" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(ct)
	if err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) {
		return nil
	}
	return task.Errorf(codeMediaType, "the body is %q: send JSON with Content-Type: application/json", ct)
}

// accepts says whether the client takes an answer of one of these types. No
// header, or one that cannot be read, takes anything.
func accepts(r *http.Request, kinds ...string) bool {
	header := strings.Join(r.Header.Values("Accept"), ",")
	if header == "" || header == "*/*" {
		return true
	}
	for part := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			return true
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		for _, k := range kinds {
			major, _, _ := strings.Cut(k, "/")
			if kind == k || kind == "*/*" || kind == major+"/*" {
				return true
			}
		}
	}
	return false
}

// writeJSON answers with v. What is wrong with v is our mistake.
func (a *api) writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := encodeJSON(v)
	if err != nil {
		return err
	}
	return a.writeBytes(w, status, data)
}

func (a *api) writeBytes(w http.ResponseWriter, status int, data []byte) error {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	a.writeBy(w, time.Now().Add(a.opts.WriteTimeout))
	w.WriteHeader(status)
	_, err := w.Write(data)
	return gone(err)
}

// jsonType and noSniff are shared by all answers and never written to.
var (
	jsonType = []string{"application/json"}
	noSniff  = []string{"nosniff"}
)

// encodeJSON writes v on one line, with < and & as they are: no browser reads this as HTML.
func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// writeBy bounds how long a client may take to read what is written next.
func (a *api) writeBy(w http.ResponseWriter, t time.Time) {
	_ = http.NewResponseController(w).SetWriteDeadline(t) // a test's recorder has none
}

// errGone says that the client went away in the middle of an answer.
var errGone = errors.New("client is gone")

func gone(err error) error {
	if err != nil {
		return errGone
	}
	return nil
}
