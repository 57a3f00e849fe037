package server

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// maxFieldErrors bounds what one answer lists: a batch of 10,000 mistakes is not
// better understood for being told in full.
const maxFieldErrors = 100

// faults gathers what is wrong with a request, so that one answer says it all.
type faults []task.FieldError

func (f *faults) add(pointer, format string, args ...any) {
	if len(*f) < maxFieldErrors {
		*f = append(*f, task.FieldError{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &task.Error{Code: task.CodeInvalidRequest, Message: strings.TrimSpace(orBody(f[0].Pointer) + " " + f[0].Message), Fields: f}
}

func orBody(pointer string) string {
	if pointer == "" {
		return "the body"
	}
	return pointer
}

// escape escapes one reference token of a JSON pointer (RFC 6901).
func escape(s string) string {
	if !strings.ContainsAny(s, "~/") { // a Replacer is dear to make, and hardly ever needed
		return s
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}

func (f *faults) str(raw json.RawMessage, at string) string {
	if raw[0] != '"' {
		f.add(at, "is not a string")
		return ""
	}
	return unquote(raw)
}

func (f *faults) integer(raw json.RawMessage, at string) int {
	var n int32
	if err := json.Unmarshal(raw, &n); err != nil {
		f.add(at, "is not an integer of 32 bits")
	}
	return int(n)
}

func (f *faults) time(raw json.RawMessage, at string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, f.str(raw, at))
	if err != nil {
		f.add(at, "is not a time of RFC 3339, such as 2026-11-23T12:00:00.5Z")
	} else if !task.ValidTime(t) {
		f.add(at, "is not %s", task.TimeRange)
		return time.Time{}
	}
	return t.UTC()
}

// duration is a string such as "1h30m", or a number of seconds.
func (f *faults) duration(raw json.RawMessage, at string) time.Duration {
	const want = `is not a duration: want a string such as "30s" or "1h30m", or a number of seconds`
	if raw[0] == '"' {
		d, err := time.ParseDuration(unquote(raw))
		if err != nil {
			f.add(at, want)
		}
		return d
	}
	var s float64
	if err := json.Unmarshal(raw, &s); err != nil || math.Abs(s) > math.MaxInt64/2/float64(time.Second) {
		f.add(at, want)
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

func (f *faults) stringMap(raw json.RawMessage, at string) map[string]string {
	out := map[string]string{}
	scanObject(raw, at, f, func(name string, value json.RawMessage) {
		out[name] = f.str(value, at+"/"+escape(name))
	})
	return out
}
