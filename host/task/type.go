package task

import (
	"encoding/json"
	"time"
)

// TypeSpec is what a client says of a task type, which may exist before anything offers it.
type TypeSpec struct {
	Name        string
	Description string
	// Input and Result are JSON Schemas; nil leaves them to whoever offers the type.
	Input  json.RawMessage `json:",omitempty"`
	Result json.RawMessage `json:",omitempty"`
	// Board places the type on the host's board, for workers that claim its tasks.
	Board bool `json:",omitempty"`
	TypeConfig
}

// MaxDescription bounds the description of a type, in bytes.
const MaxDescription = 4 << 10

// Check says what is wrong with the bounds that a client asks for, all of it at once. Name,
// schemas and executor are for others to check.
func (s *TypeSpec) Check() error {
	var bad Faults
	span := func(field string, d, least, most time.Duration) {
		bad.Check(d >= least && d <= most, field, "is not between %s and %s", least, most)
	}
	bad.Check(len(s.Description) <= MaxDescription, "description", "is longer than %d bytes", MaxDescription)
	span("timeout", s.Timeout, 0, MaxTimeout)
	span("deadline", s.Deadline, 0, MaxRetain)
	bad.Check(s.MaxAttempts >= 0 && s.MaxAttempts <= MaxTries, "max_attempts", "is not between 1 and %d", MaxTries)
	bad.Check(s.MaxLost == nil || *s.MaxLost >= 0 && *s.MaxLost <= MaxTries, "max_lost", "is not between 0 and %d", MaxTries)
	if s.Retain != nil {
		span("retain", *s.Retain, 0, MaxRetain)
	}
	span("backoff", s.Backoff.Initial, 0, MaxRetain)
	span("backoff", s.Backoff.Max, 0, MaxRetain)
	bad.Check(s.Backoff.Max == 0 || s.Backoff.Initial <= s.Backoff.Max, "backoff", "has a max that is less than its initial")
	bad.Check(s.QueueLimit >= 0 && s.QueueLimit <= MaxConcurrency, "queue_limit", "is not between 1 and %d", MaxConcurrency)
	bad.Check(s.MaxInput >= 0 && s.MaxInput <= MaxPayload, "max_input", "is not between 1 and %d bytes", int64(MaxPayload))
	bad.Check(s.MaxResult >= 0 && s.MaxResult <= MaxPayload, "max_result", "is not between 1 and %d bytes", int64(MaxPayload))
	bad.Check(s.Priority >= -MaxPriority && s.Priority <= MaxPriority, "priority", "is not between -%d and %d", MaxPriority, MaxPriority)
	bad.Labels("route", s.Route)
	bad.Check(s.MinVersion == "" || ValidVersion(s.MinVersion), "min_version", "is no semantic version such as 1.4.0")
	bad.CheckConcurrency("concurrency", s.Concurrency)
	if s.Rate != nil {
		bad.CheckRate("rate", *s.Rate)
	}
	return bad.Err()
}

// MaxPayload is the most that max_input and max_result may be, in bytes.
const MaxPayload = 1<<31 - 1
