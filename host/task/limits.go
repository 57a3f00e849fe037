package task

import (
	"cmp"
	"encoding/json"
	"math"
	"time"
)

// Limits are the bounds and defaults that tasks of a type are under.
type Limits struct {
	Timeout     time.Duration // of one attempt
	MaxAttempts int
	MaxLost     int           // 0: never run twice
	MinLost     int           // the least that MaxLost may be, where nobody can say what has run
	Retain      time.Duration // how long a final task is kept; 0 removes it at once
	Priority    int
	MaxInput    int64 // bytes
	MaxResult   int64 // bytes
	QueueLimit  int64 // waiting tasks of the type; 0 for no limit
	Route       Route
	Backoff     Backoff
}

// DefaultLimits hold where nobody says otherwise.
func DefaultLimits() Limits {
	return Limits{
		Timeout: time.Hour, MaxAttempts: 3, MaxLost: 3, Retain: 48 * time.Hour,
		MaxInput: 1 << 20, MaxResult: 16 << 20,
		Backoff: Backoff{Initial: time.Second, Max: 5 * time.Minute},
	}
}

// TypeConfig is what one party says of a task type: the executor that offers it, or the
// operator. Nil and zero leave a value to whoever is laid below.
type TypeConfig struct {
	// Executor is the name of the executor block that serves the type. Without the key, that is
	// the first in the file which offers it.
	Executor string
	// Timeout is how long one attempt may run.
	Timeout time.Duration
	// MaxAttempts is how many attempts may fail before the task does.
	MaxAttempts int
	// MaxLost is how many attempts may be lost, with the process or machine that ran them,
	// before the task fails. With 0 a task is never run twice.
	MaxLost *int
	// Retain is how long a final task is kept; 0s removes it at once.
	Retain *time.Duration
	// QueueLimit is how many tasks of the type may wait; further ones are refused. Without the
	// key there is no limit.
	QueueLimit int64
	// MaxInput is how large an input may be.
	MaxInput int64
	// Priority is what tasks have that name none; the higher goes first.
	Priority int
	// Route is the labels that a worker must have to run tasks of the type, unless a task names
	// others.
	Route Route
	// Backoff is laid over in each of its two parts by itself.
	Backoff Backoff
}

// LayLimits lays what each party says over DefaultLimits and over those before it, within
// the bounds of what a client may ask for. A negative value says nothing.
func LayLimits(layers ...TypeConfig) Limits {
	l := DefaultLimits()
	for i := range layers {
		l.lay(&layers[i])
	}
	l.Backoff.Max = max(l.Backoff.Max, l.Backoff.Initial)
	return l
}

func (l *Limits) lay(c *TypeConfig) {
	lay(&l.Timeout, c.Timeout, MaxTimeout)
	lay(&l.MaxAttempts, c.MaxAttempts, MaxTries)
	lay(&l.QueueLimit, c.QueueLimit, math.MaxInt64)
	lay(&l.MaxInput, c.MaxInput, math.MaxInt64)
	lay(&l.Backoff.Initial, c.Backoff.Initial, MaxRetain)
	lay(&l.Backoff.Max, c.Backoff.Max, MaxRetain)
	if c.Priority != 0 {
		l.Priority = min(max(c.Priority, -MaxPriority), MaxPriority)
	}
	if c.MaxLost != nil {
		l.MaxLost = min(max(*c.MaxLost, 0), MaxTries)
	}
	if c.Retain != nil {
		l.Retain = min(max(*c.Retain, 0), MaxRetain)
	}
	if len(c.Route) > 0 {
		l.Route = c.Route
	}
}

func lay[T cmp.Ordered](to *T, from, most T) {
	var none T
	if from > none {
		*to = min(from, most)
	}
}

// Within is l with payloads no larger than an executor takes and gives; 0 bounds nothing.
func (l Limits) Within(maxInput, maxResult int64) Limits {
	if maxInput > 0 {
		l.MaxInput = min(l.MaxInput, maxInput)
	}
	if maxResult > 0 {
		l.MaxResult = min(l.MaxResult, maxResult)
	}
	return l
}

// Route is the labels that a node must have to run a task; none asks for no certain node.
type Route map[string]string

// Canonical is the route as lanes name it: JSON with sorted keys, "" for none.
func (r Route) Canonical() string {
	if len(r) == 0 {
		return ""
	}
	b, _ := json.Marshal(r) // a map of strings always marshals
	return string(b)
}

// ParseRoute reads what Canonical wrote. The error says that the text is no route.
func ParseRoute(canonical string) (r Route, err error) {
	if canonical != "" {
		err = json.Unmarshal([]byte(canonical), &r)
	}
	return r, err
}
