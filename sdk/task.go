package sdk

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Task is one attempt as its executor sees it. Its bytes and maps may be
// the host's own and must not be changed. The next attempt of the same task has the same ID,
// Type and Input, a higher Attempt and another Token.
type Task struct {
	ID      string // the task's UUID; the same over all attempts
	Type    string
	Attempt int // counts from 1 and never resets
	Token   Token
	Input   json.RawMessage // any JSON value
	// Secret says that Input holds values which the type's schema marks writeOnly. They are
	// here in clear: what logs or hands on the attempt writes them nowhere.
	Secret bool
	// Checkpoint is the script's memory across attempts: what it last saved with
	// Reporter.Checkpoint or a Yield. Set, it means "resume from here".
	Checkpoint []byte
	// Handle is the executor's memory of this one token: what it last passed to
	// Reporter.Started. Set only together with Rejoin.
	Handle []byte
	// Rejoin asks to join an attempt that an earlier host process started: wait
	// for it, or return Lost. Never start it.
	Rejoin bool
	// Suspect says that an earlier attempt was lost and may be what ended the process
	// that ran it. The host runs such tasks apart from one another; an executor with
	// nodes runs one at a time on each node.
	Suspect bool
	// Deadline is when the attempt times out, on this process's clock; zero
	// if it has none. The context carries it too.
	Deadline time.Time
	// Timeout is how long the attempt may run once it has started. Deferred
	// executors, whose attempts start later, pass it on; others ignore it.
	Timeout time.Duration
	// Priority is what the host orders waiting tasks by, from -1000 to 1000; the higher goes
	// first. An executor that hands attempts to a queue of its own may pass it on; behind a
	// fleet it is 0.
	Priority int
	Labels   map[string]string
	// Route asks for a worker with these labels; only executors with nodes look.
	Route map[string]string
	// MinVersion asks for a node that offers the type in this version or a newer one, if it
	// is not ""; only executors with nodes look.
	MinVersion string
	// Children are what earlier attempts at the task have spawned, as they were when this
	// attempt began, in the order in which they were made.
	Children []ChildStatus
	// Trace holds the W3C trace context: "traceparent" and "tracestate".
	Trace map[string]string
	// Result (of a success) or Failure (of anything else) is set for Revert.
	Result  *Result
	Failure *Failure
}

// Decode reads the input into v. Unknown fields are refused, so that a typo in
// an optional field does not pass in silence; the error is permanent.
func (t Task) Decode(v any) error {
	if err := decodeStrict(t.Input, v); err != nil {
		return Permanent(fmt.Errorf("input of task type %q: %w", t.Type, err))
	}
	return nil
}

// Failure is how an attempt ended that did not succeed, as Revert sees it.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Token is the secret of one attempt: 128 random bits. A report that carries
// another token than the task's current one changes nothing.
type Token [16]byte

// String is the token in 32 lower-case hexadecimal digits.
func (t Token) String() string { return hex.EncodeToString(t[:]) }

// ParseToken reads what String wrote.
func ParseToken(s string) (Token, error) {
	var t Token
	if len(s) != 2*len(t) {
		return t, fmt.Errorf("token %q: want 32 hexadecimal digits", s)
	}
	_, err := hex.Decode(t[:], []byte(s))
	return t, err
}

// decodeStrict reads one JSON value, of which v knows every field, and nothing after it.
func decodeStrict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the JSON value")
	}
	return nil
}
