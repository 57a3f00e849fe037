// Package task is the domain of taskhost: what a task is, the states it may be
// in, how an attempt's outcome changes it, and the port to whatever stores it.
// It does no I/O and has no clock: time and chance are passed in.
package task

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// ID is a task's UUID (version 7): it begins with the time it was made, so ids
// sort by age, and lists are in their order.
type ID [16]byte

// String is the usual form, 8-4-4-4-12 lower-case hexadecimal digits.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// IDBeginning is how many characters of an id, as String writes it, tell apart all ids that
// one process makes: they hold the millisecond, and what is counted within it. The random
// rest would do with fewer, but only beginnings are found without looking at every task.
const IDBeginning = 18

// IsZero says that there is no id.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText gives what String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what ParseID does.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// ParseID reads what String wrote; the error has code invalid_request.
func ParseID(s string) (ID, error) {
	var id ID
	bad := func() (ID, error) {
		return ID{}, Errorf(CodeInvalidRequest, "%q is not an id: want a UUID such as 01990f4e-7f3a-7c55-a1b2-0123456789ab", s)
	}
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return bad()
	}
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) != 32 {
		return bad()
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return bad()
	}
	return id, nil
}

// PrefixRange gives the lowest and highest id that begin with prefix, which
// holds hexadecimal digits and, where a UUID has them, dashes.
func PrefixRange(prefix string) (lo, hi ID, err error) {
	digits := strings.ReplaceAll(strings.ToLower(prefix), "-", "")
	if digits == "" || len(digits) > 32 {
		return lo, hi, Errorf(CodeInvalidRequest, "%q is not the beginning of a task id", prefix)
	}
	if _, err := hex.Decode(lo[:], []byte(digits+strings.Repeat("0", 32-len(digits)))); err != nil {
		return lo, hi, Errorf(CodeInvalidRequest, "%q is not the beginning of a task id", prefix)
	}
	_, err = hex.Decode(hi[:], []byte(digits+strings.Repeat("f", 32-len(digits))))
	return lo, hi, err
}

// Token is the secret of one attempt: 128 random bits.
type Token [16]byte

// String is the token in 32 lower-case hexadecimal digits.
func (t Token) String() string { return hex.EncodeToString(t[:]) }

// IsZero says that there is no attempt.
func (t Token) IsZero() bool { return t == Token{} }

// Task is one durable unit of work and what became of it. Values read from a
// list carry no Input, Result, Checkpoint, Handle or Error.Details.
type Task struct {
	Seq      int64 // order key, given by the store in commit order
	ID       ID
	Type     string
	Owner    string
	Key      string // unique within owner and type while the task exists; "" for none
	Labels   map[string]string
	Route    Route
	Pinned   string // the executor that the submit named; "" leaves it to config
	Priority int    // higher first

	State   State
	Waiting Waiting // while pending
	// QueueLimit is how many tasks of the type may wait, with this one: what a task that
	// comes into the queue is under. No store keeps it. 0 is no limit.
	QueueLimit int64
	// Spawner is the token of the attempt that spawns a new child: what it is let in by. No
	// store keeps it.
	Spawner Token
	// OnConflict is what is to be done should another task have the key of a new one; nil
	// refuses it. No store keeps it.
	OnConflict *KeyConflict
	// CreatedBy is who made the task, if not its owner alone; see Creator. It is kept in the
	// task's history, and nowhere else.
	CreatedBy string
	// BlockedBy are who has what a task waits for that waits for a resource. It is read only
	// of one task at a time, and no store keeps it with the task.
	BlockedBy []ID
	// WaitReason explains why a task waits that is queued, or is shown to wait for its
	// executor or for its type to be resumed. No store keeps it: it follows from what the
	// executors are at the moment.
	WaitReason string
	Executor   string // that holds the current attempt, or held the last
	Node       string // where the attempt runs, if its executor has nodes
	Attempt    int    // the number of the last attempt; never resets
	Token      Token  // of the current attempt; zero if there is none
	Handle     []byte // the executor's memory of the current attempt

	Failures    int // of the script, since submit or the last retry by hand
	MaxAttempts int
	Lost        int // attempts lost since then, or since the last new checkpoint
	MaxLost     int
	// Suspect says that an attempt lost since the last checkpoint may be what ended
	// its process. The task waits in a lane of suspects and runs apart from others.
	Suspect bool
	// Requeued is how many attempts in a row ended at no cost: see requeue.
	Requeued int

	Timeout  time.Duration // of one attempt; always finite
	Deadline time.Time     // of the whole task; zero for none
	Retain   time.Duration // how long the task is kept once final; 0 for ever

	Group, Flow, Parent ID
	Step                string // its name within its flow, or within its parent
	Resources           Resources
	// Place is the order key of the task at the top of the tree that the task was spawned
	// in: it waits where that one would. 0 for a task without a parent.
	Place int64

	Input      json.RawMessage
	Checkpoint []byte
	Result     []byte
	ResultType string
	Error      *Failure
	Progress   Progress

	CreatedAt, RunAt, StartedAt, FinishedAt time.Time
	ExpiresAt, UpdatedAt, CancelRequestedAt time.Time
	RequestedBy                             string // who asked for the cancel
	Version                                 int64  // raised by every change of state; numbers the history
	Trace                                   string // W3C traceparent of the submit

	// Damage says what of the stored task cannot be read, and stands here as
	// something else; "" if nothing is damaged. It is never written.
	Damage string
}

// Failure is why a task is not succeeded.
type Failure struct {
	Code    string         `json:"code"`
	Message string         `json:"message,omitempty"`
	Attempt int            `json:"attempt"`
	Details map[string]any `json:"details,omitempty"`
}

// Progress is how far the current attempt is, in units of the script's choice.
type Progress struct {
	Done    int64  `json:"done"`
	Total   int64  `json:"total"` // 0: unknown
	Message string `json:"message,omitempty"`
}

// Event is one transition in a task's history. Seq is the version of the task
// after it, so it rises, with gaps where a change was no transition.
type Event struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	From    State     `json:"from"`
	To      State     `json:"to"`
	Attempt int       `json:"attempt"`
	By      string    `json:"by"` // ByHost, ByExecutor, the owner that asked, or Via what the owner did
	Message string    `json:"message,omitempty"`
}

// LogLine is one line that an attempt logged.
type LogLine struct {
	Seq     int64             `json:"seq" doc:"its number, which rises within the task"`
	At      time.Time         `json:"at" doc:"when it was logged"`
	Attempt int               `json:"attempt" doc:"the number of the attempt that logged it"`
	Level   string            `json:"level" doc:"trace, debug, info, warn or error"`
	Message string            `json:"message" doc:"what was logged"`
	Fields  map[string]string `json:"fields,omitempty" doc:"names and values that were logged with it; absent if there are none"`
}

// Spec is what a client asks for. Nil and zero leave a value to the type.
type Spec struct {
	Type        string
	Input       json.RawMessage
	Key         string
	OnConflict  OnConflict // what is done if another task has the key; "" refuses
	Executor    string
	Priority    int
	RunAt       time.Time
	Labels      map[string]string
	Route       Route
	Timeout     time.Duration
	Deadline    time.Time
	MaxAttempts int
	MaxLost     *int
	Retain      *time.Duration
	Trace       string
	Group       ID     // that the task joins, which must be open and of the same owner; zero for none
	Parent      ID     // that spawned the task, of the same owner and running; zero for none
	Spawner     Token  // of the parent's attempt that spawns it, which must be its current one
	Name        string // within its parent, which has each name once; "" for none
	Resources   Resources
}

// The bounds of what a client may ask for.
const (
	MaxKey        = 255 // bytes
	MaxOwner      = 255 // bytes, of an owner's name
	MaxName       = 255 // bytes, of a child
	MaxLabels     = 64
	MaxLabel      = 255 // bytes, of a key and of a value
	MaxPriority   = 1000
	MaxTimeout    = 30 * 24 * time.Hour
	MaxTries      = 1000 // max_attempts and max_lost
	MaxRetain     = 10 * 365 * 24 * time.Hour
	MaxMessage    = 4 << 10 // bytes of an error's, an event's or a progress message kept
	MaxBatch      = 10_000
	MaxListLimit  = 1000
	DefaultListed = 100
)

// What is kept of the lines that one attempt logs, if nothing else is asked for, and what may be.
const (
	DefaultLogLines = 10_000
	DefaultLogBytes = 4 << 20
	MaxLogLines     = 1_000_000
)

// New makes the pending task that spec asks for, for owner, under the type's
// limits. All that is wrong with the spec is in one error, each with the path
// of its field. The input's schema is the caller's to check.
func New(id ID, owner string, spec Spec, lim Limits, now time.Time) (t Task, err error) {
	var bad Faults
	bad.Check(len(spec.Key) <= MaxKey, "key", "is longer than %d bytes", MaxKey)
	spec.checkConflict(&bad)
	bad.Check(len(spec.Name) <= MaxName, "name", "is longer than %d bytes", MaxName)
	bad.Check(spec.Name == "" || !spec.Parent.IsZero(), "name", "is of a child within its parent, and there is no parent")
	bad.Check(spec.Parent.IsZero() || !spec.Spawner.IsZero(), "parent", "is given, and no attempt of that task says so: children are spawned with its token")
	spec.Resources.check(&bad)
	bad.Check(spec.Priority >= -MaxPriority && spec.Priority <= MaxPriority, "priority", "is not between -%d and %d", MaxPriority, MaxPriority)
	bad.Check(spec.Timeout >= 0 && spec.Timeout <= MaxTimeout, "timeout", "is not between 0 and %s", MaxTimeout)
	bad.Check(spec.MaxAttempts >= 0 && spec.MaxAttempts <= MaxTries, "max_attempts", "is not between 1 and %d", MaxTries)
	bad.Check(spec.MaxLost == nil || *spec.MaxLost >= 0 && *spec.MaxLost <= MaxTries, "max_lost", "is not between 0 and %d", MaxTries)
	bad.Check(spec.Retain == nil || *spec.Retain >= 0 && *spec.Retain <= MaxRetain, "retain", "is not between 0 and %s", MaxRetain)
	bad.Check(ValidTime(spec.RunAt), "run_at", "is not %s", TimeRange)
	bad.Check(ValidTime(spec.Deadline), "deadline", "is not %s", TimeRange)
	bad.Check(spec.Deadline.IsZero() || spec.Deadline.After(now), "deadline", "is in the past")
	bad.Labels("labels", spec.Labels)
	bad.Labels("route", spec.Route)
	if err := bad.Err(); err != nil {
		return t, err
	}
	if lim.MaxInput > 0 && int64(len(spec.Input)) > lim.MaxInput {
		return t, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("the input has %d bytes, task type %q takes %d", len(spec.Input), spec.Type, lim.MaxInput),
			Fields: []FieldError{{Path: []string{"input"}, Message: "too large"}}}
	}
	lim.layTask(&spec)
	if lim.MaxLost < lim.MinLost {
		return t, &Error{Code: CodeInvalidRequest, Message: fmt.Sprintf("max_lost is %d, and the executor of task type %q cannot always say whether an attempt has begun, so it may run twice: %d is the least", lim.MaxLost, spec.Type, lim.MinLost),
			Fields: []FieldError{{Path: []string{"max_lost"}, Message: fmt.Sprintf("is less than %d", lim.MinLost)}}}
	}
	t = Task{
		ID: id, Type: spec.Type, Owner: owner, Key: spec.Key, Labels: spec.Labels, Pinned: spec.Executor,
		Priority: lim.Priority, State: Pending, Waiting: WaitQueued,
		MaxAttempts: lim.MaxAttempts, MaxLost: lim.MaxLost, Timeout: lim.Timeout, Retain: lim.Retain,
		Deadline: spec.Deadline, Route: lim.Route, Input: spec.Input, CreatedAt: now, RunAt: now, UpdatedAt: now,
		Version: 1, Trace: spec.Trace, Group: spec.Group, Parent: spec.Parent, Step: spec.Name,
		Resources: spec.Resources, QueueLimit: lim.QueueLimit, Spawner: spec.Spawner, OnConflict: spec.keyConflict(),
	}
	if len(t.Input) == 0 {
		t.Input = json.RawMessage("null")
	}
	if spec.RunAt.After(now) {
		t.RunAt = spec.RunAt
		t.Waiting = WaitScheduled
	}
	if t.Deadline.IsZero() {
		t.Deadline = lim.DeadlineFrom(t.RunAt)
	}
	return t, nil
}
