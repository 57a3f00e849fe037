package sdk

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// An Executor carries out tasks. The host calls it the same way whether it
// runs in the host's process or behind gRPC in its own. All methods may be
// called at once from many goroutines. One that holds something open may have a
// Close() error too, called when it is no longer used, in the process it runs in.
type Executor interface {
	// Describe names the task types this executor runs and what it can do. The
	// host asks at start and again after Config.Changed; it must answer without
	// waiting for running attempts.
	Describe(ctx context.Context) (Info, error)

	// Execute makes one attempt at t and returns its result. It returns soon
	// after ctx is done; context.Cause(ctx) says why. An error is retried by
	// the host's policy unless it says otherwise: see Permanent, RetryAfter,
	// Lost, Released and the Yield functions.
	Execute(ctx context.Context, t Task, r Reporter) (Result, error)

	// Revert undoes what Execute did for t: t.Result holds what it returned,
	// or t.Failure how it ended. Embed Irreversible if nothing can be undone.
	Revert(ctx context.Context, t Task, r Reporter) error
}

// Irreversible is embedded by executors whose work cannot be undone. Its Revert
// fails permanently, so that a flow says so instead of trying for ever.
type Irreversible struct{}

// Revert says that nothing can be undone.
func (Irreversible) Revert(context.Context, Task, Reporter) error {
	return Permanent(errIrreversible)
}

// Info is what an executor offers. Abilities are data here, because a type
// assertion does not cross a process.
type Info struct {
	// Types are the task types that can be run now. Their names are unique.
	Types []TypeInfo `json:"types"`
	// Slots is how many attempts may be out at once; 0 leaves it to the host's
	// config (which can only lower it) and then to the host's default.
	Slots int `json:"slots,omitempty"`
	// Nodes are the machines or workers behind the executor, if it has any.
	Nodes []Node `json:"nodes,omitempty"`
	// Deferred executors hand attempts on: an attempt has started only when its
	// Reporter.Started has returned. Until then it costs nothing to take back.
	Deferred bool `json:"deferred,omitempty"`
	// Outlives says that attempts go on when the host's process ends: after a
	// crash the host calls Execute again with Rejoin set.
	Outlives bool `json:"outlives,omitempty"`
	// MaxInput and MaxResult bound payloads in bytes; 0 means the host's limit.
	MaxInput  int64 `json:"max_input,omitempty"`
	MaxResult int64 `json:"max_result,omitempty"`
	// Unavailable says why the executor can run nothing at present (its broker is
	// away, say); "" if it can. The host shows it and keeps tasks waiting.
	Unavailable string `json:"unavailable,omitempty"`
	// ControlsNodes says that the executor is a NodeController.
	ControlsNodes bool `json:"controls_nodes,omitempty"`
}

// A NodeController can tell its nodes to do something. An executor that is one sets
// Info.ControlsNodes; without that the host does not ask.
type NodeController interface {
	// ControlNode does action to the node of that name: "drain" has it finish what
	// runs and take nothing more, "resume" ends that. It returns once the node will
	// be told, also after it was away. An error that wraps ErrUnknownNode or
	// ErrUnknownAction says so across a process, too.
	ControlNode(ctx context.Context, node, action string) error
}

// What a NodeController answers to a name or an action that it does not know.
var (
	ErrUnknownNode   = errors.New("there is no such node")
	ErrUnknownAction = errors.New("there is no such action on a node")
)

// Node is a machine or worker behind an executor.
type Node struct {
	Name     string            `json:"name"`
	Address  string            `json:"address,omitempty"`
	Version  string            `json:"version,omitempty"`
	Types    []string          `json:"types,omitempty"`
	Slots    int               `json:"slots"`
	Used     int               `json:"used"`
	Labels   map[string]string `json:"labels,omitempty"`
	Draining bool              `json:"draining,omitempty"`
	Running  []string          `json:"running,omitempty"` // task ids
	LastSeen time.Time         `json:"last_seen,omitzero"`
	// Instance tells two nodes of one name apart, and a node from the one of its name
	// before it; it may be empty.
	Instance string `json:"instance,omitempty"`
	// Gone says that the node is not there any more: it is shown for a while, runs
	// nothing and takes nothing.
	Gone bool `json:"gone,omitempty"`
	// TypeSlots is how many of the slots each type can use, where that is fewer than
	// all: a worker with several executors has slots for each. Types that share an
	// executor share its slots, so the figures may sum up to more than Slots.
	TypeSlots map[string]int `json:"type_slots,omitempty"`
}

// Takes says whether the node takes attempts of a type: it offers the type, is not gone
// and does not drain.
func (n *Node) Takes(typ string) bool {
	return !n.Gone && !n.Draining && slices.Contains(n.Types, typ)
}

// SlotsFor is how many attempts of a type the node can run at once: none if it does
// not take them.
func (n *Node) SlotsFor(typ string) int {
	if !n.Takes(typ) {
		return 0
	}
	if own, ok := n.TypeSlots[typ]; ok {
		return min(own, n.Slots)
	}
	return n.Slots
}

// Lacks gives the labels of route that the node has not, each as "name=value" and in
// order; none if it may run what asks for that route.
func (n *Node) Lacks(route map[string]string) (missing []string) {
	for k, v := range route {
		if have, ok := n.Labels[k]; !ok || have != v {
			missing = append(missing, k+"="+v)
		}
	}
	slices.Sort(missing)
	return missing
}

// TypeInfo describes one task type.
type TypeInfo struct {
	// Name is what a client submits: letters, digits, '.', '_' and '-', 100 at
	// the most, beginning with a letter.
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Input and Result are JSON Schemas (draft 2020-12); nil accepts anything.
	// The host checks the input at submit, before the task is accepted.
	Input  json.RawMessage `json:"input,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	// Defaults hold where neither the operator nor the client says otherwise.
	Defaults Defaults `json:"defaults,omitzero"`
	// Revertible says that Revert undoes this type's work.
	Revertible bool `json:"revertible,omitempty"`
	// Unavailable says that the type is known but nobody serves it at present (its
	// workers are away). The host accepts such tasks and keeps them waiting.
	Unavailable bool `json:"unavailable,omitempty"`
}

// Defaults are a script author's wishes for a type. Zero or nil leaves a value
// to the host.
type Defaults struct {
	Timeout     time.Duration `json:"timeout,omitempty"` // of one attempt
	MaxAttempts int           `json:"max_attempts,omitempty"`
	MaxLost     *int          `json:"max_lost,omitempty"` // 0: never run twice
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

// Task is one attempt as its executor sees it.
type Task struct {
	ID      string // the task's UUID; the same over all attempts
	Type    string
	Attempt int // counts from 1 and never resets
	Token   Token
	Input   json.RawMessage // any JSON value
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
	Labels  map[string]string
	// Route asks for a worker with these labels; only executors with nodes look.
	Route map[string]string
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

// Failure is how an attempt ended that did not succeed, as Revert sees it.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Result is what a successful attempt leaves: bytes and what they are. Make one
// with JSON, Text or Bytes; the zero Result means "nothing to say" and is stored
// as JSON null.
type Result struct {
	ContentType string
	Data        []byte
	// Stored says that the bytes are not in Data: they were already put to the
	// host's REST under the attempt's token. For executors behind a carrier that
	// bounds what a message holds; a script never sets it.
	Stored bool
}

// JSON makes a result of v. It fails if v cannot be marshaled.
func JSON(v any) (Result, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Result{}, Permanent(fmt.Errorf("result: %w", err))
	}
	return Result{ContentType: ContentJSON, Data: data}, nil
}

// Text makes a result of plain text in UTF-8.
func Text(s string) Result { return Result{ContentType: ContentText, Data: []byte(s)} }

// Bytes makes a result of any content type. The host keeps b; do not change it.
func Bytes(contentType string, b []byte) Result {
	return Result{ContentType: contentType, Data: b}
}

// The content types that JSON and Text give.
const (
	ContentJSON = "application/json"
	ContentText = "text/plain; charset=utf-8"
)
