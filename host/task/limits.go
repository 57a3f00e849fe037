package task

import (
	"cmp"
	"encoding/json"
	"time"
)

// Limits are the bounds and defaults that tasks of a type are under.
type Limits struct {
	Timeout     time.Duration // of one attempt
	Deadline    time.Duration // of the whole task, from when it is due first; 0 for none
	MaxAttempts int
	MaxLost     int           // 0: never run twice
	MinLost     int           // the least that MaxLost may be, where nobody can say what has run
	Retain      time.Duration // how long a final task is kept; 0 for ever
	Priority    int
	MaxInput    int64 // bytes
	MaxResult   int64 // bytes
	QueueLimit  int64 // waiting tasks of the type; 0 for no limit
	Concurrency []Concurrency
	Rate        Rate
	Route       Route
	MinVersion  string // the oldest version of the type that may run its tasks; "" for any
	Backoff     Backoff
}

// Start is what of the limits bounds when attempts may begin.
func (l *Limits) Start() StartLimits { return StartLimits{Concurrency: l.Concurrency, Rate: l.Rate} }

// DeadlineFrom is the deadline of a task that is due first at that time; zero for none.
func (l *Limits) DeadlineFrom(due time.Time) time.Time {
	if l.Deadline <= 0 || !ValidTime(due.Add(l.Deadline)) {
		return time.Time{}
	}
	return due.Add(l.Deadline).UTC()
}

// DefaultLimits hold where nobody says otherwise.
func DefaultLimits() Limits {
	return Limits{
		Timeout: time.Hour, MaxAttempts: 3, MaxLost: 3, Retain: 48 * time.Hour,
		MaxInput: 1 << 20, MaxResult: 16 << 20,
		Backoff: Backoff{Initial: time.Second, Max: 5 * time.Minute},
	}
}

// TypeConfig is what one party says of a task type: the executor that offers it, a client
// of the API, or the operator's file. Nil and zero leave a value to whoever is laid below.
type TypeConfig struct {
	// Executor is the name of the executor block that serves the type. Without the key, that is
	// the first in the file which offers it.
	Executor string
	// Timeout is how long one attempt may run.
	Timeout time.Duration
	// Deadline is how long the whole task may take, with all its attempts and what lies between
	// them, from when it is due first. Without the key it may take as long as it does.
	Deadline time.Duration
	// MaxAttempts is how many attempts may fail before the task does.
	MaxAttempts int
	// MaxLost is how many attempts may be lost, with the process or machine that ran them,
	// before the task fails. With 0 a task is never run twice.
	MaxLost *int
	// Retain is how long a final task is kept, with its input, result, log and history; 0s keeps
	// it for ever.
	Retain *time.Duration
	// QueueLimit is how many tasks of the type may wait; further ones are refused. Without the
	// key there is no limit.
	QueueLimit int64
	// Concurrency is how many attempts at tasks of the type may be under way at once: each
	// element is a limit, in all, by owner, or by the value of a label, as in
	// [{ max = 10 }, { max = 2, by = "owner" }, { max = 1, by = "label:tenant" }]. An attempt
	// counts from when it is handed to its executor. Without the key there is no limit.
	Concurrency []Concurrency
	// Rate is how many attempts at tasks of the type may begin in a second, and how many at once
	// after a rest, as in { per_second = 10, burst = 20 }; burst is 1 if it is left out. Without
	// the key there is no limit.
	Rate *Rate
	// MaxInput is how large an input may be.
	MaxInput int64
	// MaxResult is how large a result may be.
	MaxResult int64
	// Priority is what tasks have that name none; the higher goes first.
	Priority int
	// Route is the labels that a worker must have to run tasks of the type, unless a task names
	// others.
	Route Route
	// MinVersion is the oldest version of the type that may run its tasks, a semantic one such
	// as "1.4.0": workers and plugins that offer an older one, or tell none, get no task of it.
	// Without the key any may.
	MinVersion string
	// Backoff is laid over in each of its two parts by itself.
	Backoff Backoff
}

// limitFields are the limits, each with whether a party says something of it, and how that
// is laid over the limits below it. The names are those that clients see.
var limitFields = []struct {
	name string
	said func(c *TypeConfig) bool
	lay  func(l *Limits, c *TypeConfig)
}{
	{"timeout", func(c *TypeConfig) bool { return c.Timeout > 0 }, func(l *Limits, c *TypeConfig) { l.Timeout = min(c.Timeout, MaxTimeout) }},
	{"deadline", func(c *TypeConfig) bool { return c.Deadline > 0 }, func(l *Limits, c *TypeConfig) { l.Deadline = min(c.Deadline, MaxRetain) }},
	{"max_attempts", func(c *TypeConfig) bool { return c.MaxAttempts > 0 }, func(l *Limits, c *TypeConfig) { l.MaxAttempts = min(c.MaxAttempts, MaxTries) }},
	{"max_lost", func(c *TypeConfig) bool { return c.MaxLost != nil }, func(l *Limits, c *TypeConfig) { l.MaxLost = min(max(*c.MaxLost, 0), MaxTries) }},
	{"retain", func(c *TypeConfig) bool { return c.Retain != nil }, func(l *Limits, c *TypeConfig) { l.Retain = min(max(*c.Retain, 0), MaxRetain) }},
	{"priority", func(c *TypeConfig) bool { return c.Priority != 0 }, func(l *Limits, c *TypeConfig) { l.Priority = min(max(c.Priority, -MaxPriority), MaxPriority) }},
	{"max_input", func(c *TypeConfig) bool { return c.MaxInput > 0 }, func(l *Limits, c *TypeConfig) { l.MaxInput = c.MaxInput }},
	{"max_result", func(c *TypeConfig) bool { return c.MaxResult > 0 }, func(l *Limits, c *TypeConfig) { l.MaxResult = c.MaxResult }},
	{"queue_limit", func(c *TypeConfig) bool { return c.QueueLimit > 0 }, func(l *Limits, c *TypeConfig) { l.QueueLimit = c.QueueLimit }},
	{"concurrency", func(c *TypeConfig) bool { return c.Concurrency != nil && c.validStart() }, func(l *Limits, c *TypeConfig) { l.Concurrency = c.Concurrency }},
	{"rate", func(c *TypeConfig) bool { return c.Rate != nil && c.validStart() }, func(l *Limits, c *TypeConfig) { l.Rate = *c.Rate }},
	{"route", func(c *TypeConfig) bool { return len(c.Route) > 0 }, func(l *Limits, c *TypeConfig) { l.Route = c.Route }},
	{"min_version", func(c *TypeConfig) bool { return ValidVersion(c.MinVersion) }, func(l *Limits, c *TypeConfig) { l.MinVersion = c.MinVersion }},
	{"backoff", func(c *TypeConfig) bool { return c.Backoff.Initial > 0 || c.Backoff.Max > 0 }, func(l *Limits, c *TypeConfig) {
		if c.Backoff.Initial > 0 {
			l.Backoff.Initial = min(c.Backoff.Initial, MaxRetain)
		}
		if c.Backoff.Max > 0 {
			l.Backoff.Max = min(c.Backoff.Max, MaxRetain)
		}
	}},
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
	for i := range limitFields {
		if f := &limitFields[i]; f.said(c) {
			f.lay(l, c)
		}
	}
}

// layTask lays over l what is asked for one task, which is within the bounds.
func (l *Limits) layTask(spec *Spec) {
	l.Timeout = cmp.Or(spec.Timeout, l.Timeout)
	l.MaxAttempts = cmp.Or(spec.MaxAttempts, l.MaxAttempts)
	l.Priority = cmp.Or(spec.Priority, l.Priority)
	if spec.MaxLost != nil {
		l.MaxLost = *spec.MaxLost
	}
	if spec.Retain != nil {
		l.Retain = *spec.Retain
	}
	if len(spec.Route) > 0 {
		l.Route = spec.Route
	}
}

// Origin is who said what a value of a task type is.
type Origin string

// The origins, each laid over those before it.
const (
	OriginDefault  Origin = "default"
	OriginExecutor Origin = "executor"
	OriginAPI      Origin = "api"
	OriginConfig   Origin = "config"
)

// LimitOrigins says of each limit, by its name, whose word holds if these are laid over one
// another as LayLimits does.
func LimitOrigins(executor, api, config *TypeConfig) map[string]Origin {
	out := make(map[string]Origin, len(limitFields))
	for i := range limitFields {
		f := &limitFields[i]
		switch {
		case f.said(config):
			out[f.name] = OriginConfig
		case f.said(api):
			out[f.name] = OriginAPI
		case f.said(executor):
			out[f.name] = OriginExecutor
		default:
			out[f.name] = OriginDefault
		}
	}
	return out
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
