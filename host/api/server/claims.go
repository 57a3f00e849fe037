package server

import (
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/task"
)

// claimToken is the token that a path names. What is none is no claim's.
func claimToken(r *http.Request) (t task.Token, err error) {
	b, err := hex.DecodeString(r.PathValue("token"))
	if err != nil || len(b) != len(t) {
		return t, board.Stale()
	}
	copy(t[:], b)
	return t, nil
}

// heard answers what a worker says of a task that it has.
func (h *handlers) heard(say func(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) (board.Heard, error)) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s task.Scope) error {
		token, err := claimToken(r)
		if err != nil {
			return err
		}
		heard, err := say(w, r, s, token)
		if err != nil {
			return err
		}
		return h.writeJSON(w, http.StatusOK, api.ClaimHeard{LeaseUntil: task.Shown(heard.LeaseUntil), Stop: orNull(string(heard.Stop))})
	}
}

func (h *handlers) renewClaim(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) (board.Heard, error) {
	if err := h.requireNoBody(w, r); err != nil {
		return board.Heard{}, err
	}
	return h.svc.RenewClaim(r.Context(), s, token)
}

var progressFields = map[string]func(p *task.Progress, v json.RawMessage, at place, bad *faults){
	"done":    func(p *task.Progress, v json.RawMessage, at place, bad *faults) { p.Done = bad.count(v, at) },
	"total":   func(p *task.Progress, v json.RawMessage, at place, bad *faults) { p.Total = bad.count(v, at) },
	"message": func(p *task.Progress, v json.RawMessage, at place, bad *faults) { p.Message = bad.str(v, at) },
}

func (h *handlers) claimProgress(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) (board.Heard, error) {
	p, err := claimBody(h, w, r, progressFields, "done")
	if err != nil {
		return board.Heard{}, err
	}
	return h.svc.ClaimProgress(r.Context(), s, token, p)
}

// claimBody reads the body of a request about a claim; it must have the field of that name.
func claimBody[T any](h *handlers, w http.ResponseWriter, r *http.Request, fields map[string]func(*T, json.RawMessage, place, *faults), required string) (v T, err error) {
	body, err := h.readBody(w, r, maxClaimBody)
	if err != nil {
		return v, err
	}
	var bad faults
	decodeFields(body, fields, required, &v, &bad)
	return v, bad.err()
}

var logFields = map[string]func(lines *[]board.Line, v json.RawMessage, at place, bad *faults){
	"lines": func(lines *[]board.Line, v json.RawMessage, at place, bad *faults) {
		scanArray(v, at, bad, func(i int, v json.RawMessage) {
			if i < board.MaxLines {
				*lines = append(*lines, decodeLine(v, at.to(strconv.Itoa(i)), bad))
			} else if i == board.MaxLines {
				bad.add(at, "has more than %d lines", board.MaxLines)
			}
		})
	},
}

// logLevels are those that a line may have.
var logLevels = []string{"trace", "debug", "info", "warn", "error"}

// decodeLine reads a line, which is a text or an object.
func decodeLine(data json.RawMessage, at place, bad *faults) board.Line {
	l := board.Line{Level: "info"}
	if data[0] == '"' {
		l.Message = unquote(data)
		return l
	}
	said := false
	isObject := scanObject(data, at, bad, func(name string, v json.RawMessage) {
		switch {
		case name == "message":
			said = true
			l.Message = bad.str(v, at.to(name))
		case name == "level" && !isNull(v):
			if l.Level = bad.str(v, at.to(name)); !slices.Contains(logLevels, l.Level) {
				bad.add(at.to(name), "is not one of %s", strings.Join(logLevels, ", "))
			}
		case name == "fields" && !isNull(v):
			l.Fields = bad.stringMap(v, at.to(name))
		case name != "level" && name != "fields":
			bad.add(at.to(name), "is not a field of a line")
		}
	})
	if isObject && !said {
		bad.add(at.to("message"), "is missing")
	}
	return l
}

func (h *handlers) claimLog(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) (board.Heard, error) {
	lines, err := claimBody(h, w, r, logFields, "lines")
	if err != nil {
		return board.Heard{}, err
	}
	return h.svc.ClaimLog(r.Context(), s, token, lines)
}

func (h *handlers) claimCheckpoint(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) (board.Heard, error) {
	if _, err := h.svc.MaxClaimResult(r.Context(), s, token); err != nil { // before any byte of the body is taken
		return board.Heard{}, err
	}
	data, err := h.readBytes(w, r, board.MaxCheckpoint, "checkpoint")
	if err != nil {
		return board.Heard{}, err
	}
	return h.svc.ClaimCheckpoint(r.Context(), s, token, data)
}

// endClaim answers what ends a claim.
func (h *handlers) endClaim(end func(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) error) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s task.Scope) error {
		token, err := claimToken(r)
		if err == nil {
			err = end(w, r, s, token)
		}
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (h *handlers) finishClaim(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) error {
	limit, err := h.svc.MaxClaimResult(r.Context(), s, token) // before any byte of the body is taken
	if err != nil {
		return err
	}
	media := r.Header.Get("Content-Type")
	if media != "" {
		if _, _, err := mime.ParseMediaType(media); err != nil {
			return task.Errorf(task.CodeInvalidRequest, "Content-Type %q is no media type: %v", media, err)
		}
	}
	data, err := h.readBytes(w, r, limit, "result")
	if err != nil {
		return err
	}
	if len(data) == 0 && media == "" {
		data = []byte("null")
	}
	if (media == "" || task.IsJSON(media)) && !json.Valid(data) {
		return task.Errorf(task.CodeInvalidRequest, "the result is to be JSON, as its Content-Type has it or for want of one, and is not: nothing has changed")
	}
	return h.svc.FinishClaim(r.Context(), s, token, media, data)
}

var failureFields = map[string]func(f *board.Failure, v json.RawMessage, at place, bad *faults){
	"message":   func(f *board.Failure, v json.RawMessage, at place, bad *faults) { f.Message = bad.str(v, at) },
	"permanent": func(f *board.Failure, v json.RawMessage, at place, bad *faults) { f.Permanent = bad.boolean(v, at) },
	"retry_after": func(f *board.Failure, v json.RawMessage, at place, bad *faults) {
		if f.RetryAfter = bad.duration(v, at); f.RetryAfter < 0 || f.RetryAfter > task.MaxRetain {
			bad.add(at, "is not between 0 and %s", task.MaxRetain)
		}
	},
	"code": func(f *board.Failure, v json.RawMessage, at place, bad *faults) {
		if f.Code = bad.str(v, at); !failureCode.MatchString(f.Code) {
			bad.add(at, "is not a code: want snake case, such as no_such_bucket, of 100 characters at the most")
		} else if slices.Contains(task.HostFailures, f.Code) {
			bad.add(at, "is a code that the host itself gives")
		}
	},
	"details": func(f *board.Failure, v json.RawMessage, at place, bad *faults) {
		f.Details = map[string]string{}
		n := 0
		scanObject(v, at, bad, func(name string, v json.RawMessage) {
			if n++; n == task.MaxLabels+1 {
				bad.add(at, "has more than %d entries", task.MaxLabels)
			}
			if f.Details[name] = string(v); v[0] == '"' {
				f.Details[name] = unquote(v)
			}
		})
	},
}

var failureCode = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

func (h *handlers) failClaim(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) error {
	f, err := claimBody(h, w, r, failureFields, "message")
	if err != nil {
		return err
	}
	return h.svc.FailClaim(r.Context(), s, token, f)
}

func (h *handlers) releaseClaim(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) error {
	if err := h.requireNoBody(w, r); err != nil {
		return err
	}
	return h.svc.ReleaseClaim(r.Context(), s, token)
}

var trashFields = map[string]func(reason *string, v json.RawMessage, at place, bad *faults){
	"reason": func(reason *string, v json.RawMessage, at place, bad *faults) {
		if *reason = bad.str(v, at); *reason == "" {
			bad.add(at, "is empty")
		}
	},
}

func (h *handlers) trashClaim(w http.ResponseWriter, r *http.Request, s task.Scope, token task.Token) error {
	reason, err := claimBody(h, w, r, trashFields, "reason")
	if err != nil {
		return err
	}
	return h.svc.TrashClaim(r.Context(), s, token, reason)
}
