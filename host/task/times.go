package task

import (
	"fmt"
	"time"
)

// ValidTime says whether t can be kept and shown: in UTC its year has four digits.
// Others cannot be written as JSON, and 9999-12-31T23:59:59-01:00 is one of them.
// The zero time, which means none, is valid.
func ValidTime(t time.Time) bool {
	return t.IsZero() || t.Unix() >= firstTime && t.Unix() <= lastTime
}

// The seconds in which valid times begin and end.
var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// Shown is t in UTC, or the nearest time that is valid: for what was kept though it
// should have been refused.
func Shown(t time.Time) time.Time {
	switch {
	case ValidTime(t):
		return t.UTC()
	case t.Unix() < firstTime:
		return time.Unix(firstTime, 0).UTC()
	}
	return time.Unix(lastTime, 0).UTC()
}

// TimeRange is what ValidTime wants, for messages: "is not …".
const TimeRange = "between the years 0 and 9999 in UTC"

// withinReach is o, or the failure that it is if it would have its task rest
// for longer than tasks are kept, or until a time that cannot be shown.
func withinReach(o *Outcome, now time.Time) *Outcome {
	refused := func(format string, args ...any) *Outcome {
		return &Outcome{Kind: OutcomeFailed, Code: FailureProtocol, Permanent: true, Details: o.Details, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.Kind == OutcomeYielded && o.Yield != nil && !ValidTime(o.Yield.Until):
		return refused("the attempt yielded until a time that is not %s", TimeRange)
	case o.Kind == OutcomeYielded && o.Yield != nil && o.Yield.Until.Sub(now) > MaxRetain:
		return refused("the attempt yielded until %s, which is more than %s away", o.Yield.Until.Format(time.RFC3339), MaxRetain)
	case o.Kind == OutcomeFailed && !o.Permanent && o.RetryAfter > MaxRetain:
		return refused("the attempt failed and asked for a retry after %s, which is more than %s: %s", o.RetryAfter, MaxRetain, o.Message)
	}
	return o
}
