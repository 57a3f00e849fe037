package task

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Concurrency is a limit on how many attempts at tasks of a type may be under way at once.
type Concurrency struct {
	Max int64 `json:"max"`
	// By is what the tasks have in common that are counted together: "" for all of the type,
	// "owner", or "label:NAME" for the value of a label. Tasks without the label are counted
	// together, too.
	By string `json:"by,omitempty"`
}

// ByOwner is Concurrency.By of a limit by owner.
const ByOwner = "owner"

// byLabel begins Concurrency.By of a limit by label.
const byLabel = "label:"

// Label is the label by whose value the limit counts; false if it does not.
func (c *Concurrency) Label() (name string, ok bool) { return strings.CutPrefix(c.By, byLabel) }

// String completes "the limit of …".
func (c *Concurrency) String() string {
	switch name, ok := c.Label(); {
	case ok:
		return fmt.Sprintf("%d at once by label %q", c.Max, name)
	case c.By != "":
		return fmt.Sprintf("%d at once by %s", c.Max, c.By)
	}
	return fmt.Sprintf("%d at once", c.Max)
}

// The bounds of limits on when attempts begin.
const (
	MaxConcurrencies  = 8 // limits of one type
	MaxConcurrency    = math.MaxInt32
	MaxRate           = 1_000_000 // per second
	MinRate           = 1e-6      // per second: one in eleven days
	MaxBurst          = 1_000_000
	maxConcurrencyDoc = "is owner, or label: and a label's name; without it all tasks of the type count"
)

// CheckConcurrency finds what is wrong with limits that were asked for in that field.
func (f *Faults) CheckConcurrency(field string, limits []Concurrency) {
	f.Check(len(limits) <= MaxConcurrencies, field, "has more than %d limits", MaxConcurrencies)
	seen := map[string]bool{}
	for i := range limits {
		c := &limits[i]
		f.Check(c.Max >= 1 && c.Max <= MaxConcurrency, field, "has a max of %d, which is not between 1 and %d", c.Max, MaxConcurrency)
		name, ok := c.Label()
		f.Check(c.By == "" || c.By == ByOwner || ok && ValidLabelName(name), field, "has by = %q: by %s", c.By, maxConcurrencyDoc)
		f.Check(!seen[c.By], field, "has two limits by %q", c.By)
		seen[c.By] = true
	}
}

// Rate is a limit on how many attempts at tasks of a type may begin. The zero value is none.
type Rate struct {
	PerSecond float64 `json:"per_second"`
	// Burst is how many may begin at once after a rest; 0 is 1.
	Burst int64 `json:"burst,omitempty"`
}

// CheckRate finds what is wrong with a rate that was asked for in that field.
func (f *Faults) CheckRate(field string, r Rate) {
	f.Check(r.PerSecond >= MinRate && r.PerSecond <= MaxRate, field, "has a per_second that is not between %v and %d", MinRate, MaxRate)
	f.Check(r.Burst >= 0 && r.Burst <= MaxBurst, field, "has a burst that is not between 1 and %d", MaxBurst)
	f.Check(r.PerSecond < MinRate || float64(r.Burst)/r.PerSecond <= MaxRetain.Seconds(), field, "takes more than ten years to have all of its burst again")
}

// validStart says whether an executor's or a file's word may be taken.
func (c *TypeConfig) validStart() bool {
	var bad Faults
	if c.Rate != nil {
		bad.CheckRate("", *c.Rate)
	}
	bad.CheckConcurrency("", c.Concurrency)
	return len(bad) == 0
}

// Spent is how far a rate is used up: the time at which all of its burst is there again, in
// nanoseconds since 1970.
type Spent int64

// clockSlack is by how much a time may be older than the last one without the clock having
// been set back: tasks are made a moment before they are written.
const clockSlack = time.Minute

// Begin has an attempt begin at now, if the rate lets it; otherwise opens is when it does.
// Spent is the same then, or less if the clock was set back since.
func (r Rate) Begin(s Spent, now time.Time) (after Spent, opens time.Time, ok bool) {
	each := r.each()
	burst := r.burst()
	at := Spent(now.UnixNano())
	if most := at + Spent(burst*each+clockSlack); s > most { // the clock was set back since
		s = at + Spent(burst*each)
	}
	if opensAt := s - Spent((burst-1)*each); opensAt > at {
		return s, time.Unix(0, int64(opensAt)).UTC(), false
	}
	return max(s, at) + Spent(each), time.Time{}, true
}

// Opens is when the next attempt may begin.
func (r Rate) Opens(s Spent) time.Time {
	return time.Unix(0, int64(s-Spent((r.burst()-1)*r.each()))).UTC()
}

// burst is how many may begin at once: those of a hundredth of a second in any case, for no
// timer is more exact than that.
func (r Rate) burst() time.Duration {
	return time.Duration(max(r.Burst, int64(r.PerSecond/100), 1))
}

// each is how long a rate is used up by one attempt.
func (r Rate) each() time.Duration { return time.Duration(float64(time.Second) / r.PerSecond) }

// StartLimits bound when attempts at tasks of a type may begin. The zero value does not.
type StartLimits struct {
	// Paused has none begin.
	Paused      bool
	Concurrency []Concurrency
	Rate        Rate
}

// None says that attempts may begin at any time.
func (l *StartLimits) None() bool { return !l.Paused && len(l.Concurrency) == 0 && l.Rate == Rate{} }

// StartBlock is why an attempt at a queued task may not begin.
type StartBlock struct {
	Paused bool // the type is
	// Running is how many attempts its owner may have under way, which is reached; 0 if it is not.
	Running int64
	Owner   string
	// Limit is the limit that is reached, of tasks that have Value in common; nil if none is.
	Limit *Concurrency
	Value string
	Rate  *Rate // that is used up for the moment; nil if it is not
}

// Any says that something keeps the task.
func (b *StartBlock) Any() bool { return b.Paused || b.Running > 0 || b.Limit != nil || b.Rate != nil }

// Reason says it; "" if nothing keeps the task.
func (b *StartBlock) Reason(taskType string) string {
	switch {
	case b.Paused:
		return fmt.Sprintf("task type %q is paused", taskType)
	case b.Running > 0:
		return fmt.Sprintf("the quota of owner %q is reached: %d attempts at once", b.Owner, b.Running)
	case b.Limit != nil:
		text := fmt.Sprintf("the concurrency limit of task type %q is reached: %s", taskType, b.Limit)
		if b.Limit.By != "" {
			text += fmt.Sprintf(" (%q)", b.Value)
		}
		return text
	case b.Rate != nil:
		return fmt.Sprintf("the rate of task type %q is used up for the moment: %v in a second", taskType, b.Rate.PerSecond)
	}
	return ""
}

// ParseValues reads Lane.Values.
func ParseValues(s string) (values map[string]string) {
	if s != "" {
		_ = json.Unmarshal([]byte(s), &values) // this program wrote it
	}
	return values
}

// UnBegin takes back Begin of a task that was made and begun at once, and may not begin yet.
func UnBegin(t *Task) {
	t.State, t.Waiting = Pending, WaitQueued
	t.Attempt, t.Token, t.Executor, t.StartedAt = 0, Token{}, "", time.Time{}
}
