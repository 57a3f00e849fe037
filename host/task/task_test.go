package task_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

var (
	start  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	someID = task.ID{0x01, 0x99, 0x0f, 0x4e, 0x7f, 0x3a, 0x7c, 0x55, 0xa1, 0xb2, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab}
)

const someText = "01990f4e-7f3a-7c55-a1b2-0123456789ab"

func TestParseID(t *testing.T) {
	if got := someID.String(); got != someText {
		t.Fatalf("String gives %s", got)
	}
	for _, s := range []string{someText, strings.ToUpper(someText)} {
		if got, err := task.ParseID(s); err != nil || got != someID {
			t.Errorf("ParseID(%q) = %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "x", someText[1:], someText + "0", strings.ReplaceAll(someText, "-", ""), "{" + someText[1:35] + "}",
		strings.Replace(someText, "0", "g", 1), strings.ReplaceAll(someText, "-", "_"), "-" + someText[1:], "01990f4e-7f3a-7c55-a1b2-0123456789é"} {
		if got, err := task.ParseID(s); task.CodeOf(err) != task.CodeInvalidRequest {
			t.Errorf("ParseID(%q) = %s, %v", s, got, err)
		}
	}
	if !(task.ID{}).IsZero() || someID.IsZero() {
		t.Error("IsZero")
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{someText, "", strings.ToUpper(someText), "--------------------------------  --", someText[:35]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := task.ParseID(s)
		if err != nil {
			if task.CodeOf(err) != task.CodeInvalidRequest || !id.IsZero() {
				t.Fatalf("ParseID(%q) = %s, %v", s, id, err)
			}
			return
		}
		if id.String() != strings.ToLower(s) {
			t.Fatalf("ParseID(%q) gives %s", s, id)
		}
	})
}

func TestPrefixRange(t *testing.T) {
	for prefix, want := range map[string][2]string{
		"0":         {"00000000-0000-0000-0000-000000000000", "0fffffff-ffff-ffff-ffff-ffffffffffff"},
		"01990F":    {"01990f00-0000-0000-0000-000000000000", "01990fff-ffff-ffff-ffff-ffffffffffff"},
		"01990f4e-": {"01990f4e-0000-0000-0000-000000000000", "01990f4e-ffff-ffff-ffff-ffffffffffff"},
		someText:    {someText, someText},
	} {
		lo, hi, err := task.PrefixRange(prefix)
		if err != nil || lo.String() != want[0] || hi.String() != want[1] {
			t.Errorf("PrefixRange(%q) = %s to %s, %v, want %v", prefix, lo, hi, err, want)
		}
	}
	for _, prefix := range []string{"", "-", "g", someText + "0", "01990f4e 7f3a"} {
		if _, _, err := task.PrefixRange(prefix); task.CodeOf(err) != task.CodeInvalidRequest {
			t.Errorf("PrefixRange(%q): %v", prefix, err)
		}
	}
}

func FuzzPrefixRange(f *testing.F) {
	for _, s := range []string{"0", someText, "F-f", "01990f4e-7", "zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, prefix string) {
		lo, hi, err := task.PrefixRange(prefix)
		if err != nil {
			if task.CodeOf(err) != task.CodeInvalidRequest {
				t.Fatalf("PrefixRange(%q): %v", prefix, err)
			}
			return
		}
		digits := strings.ToLower(strings.ReplaceAll(prefix, "-", ""))
		for _, id := range []task.ID{lo, hi} {
			if !strings.HasPrefix(strings.ReplaceAll(id.String(), "-", ""), digits) {
				t.Fatalf("PrefixRange(%q) reaches %s", prefix, id)
			}
		}
		if bytes.Compare(lo[:], hi[:]) > 0 || len(digits) == 32 && lo != hi {
			t.Fatalf("PrefixRange(%q) = %s to %s", prefix, lo, hi)
		}
	})
}

func TestNew(t *testing.T) {
	lim := task.DefaultLimits()
	lim.Priority, lim.Route = 4, map[string]string{"zone": "a"}
	got, err := task.New(someID, "ann", task.Spec{Type: "noop"}, lim, start)
	if err != nil {
		t.Fatal(err)
	}
	want := task.Task{ID: someID, Type: "noop", Owner: "ann", State: task.Pending, Waiting: task.WaitQueued, Priority: 4,
		MaxAttempts: 3, MaxLost: 3, Timeout: time.Hour, Retain: 48 * time.Hour, Route: map[string]string{"zone": "a"},
		Input: json.RawMessage("null"), CreatedAt: start, RunAt: start, UpdatedAt: start, Version: 1}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the type's defaults give %+v, want %+v", got, want)
	}
	zero, retain := 0, time.Duration(0)
	got, err = task.New(someID, "ann", task.Spec{Type: "noop", Input: []byte("7"), Key: "k", Executor: "e", Priority: -1, RunAt: start.Add(1),
		Labels: map[string]string{"l": ""}, Route: map[string]string{"zone": "b"}, Timeout: time.Second, Deadline: start.Add(2),
		MaxAttempts: 1, MaxLost: &zero, Retain: &retain, Trace: "t"}, lim, start)
	if err != nil {
		t.Fatal(err)
	}
	want = task.Task{ID: someID, Type: "noop", Owner: "ann", Key: "k", Labels: map[string]string{"l": ""}, Route: map[string]string{"zone": "b"},
		Pinned: "e", State: task.Pending, Waiting: task.WaitScheduled, Priority: -1, MaxAttempts: 1, MaxLost: 0, Timeout: time.Second,
		Deadline: start.Add(2), Input: json.RawMessage("7"), CreatedAt: start, RunAt: start.Add(1), UpdatedAt: start, Version: 1, Trace: "t"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("what the client asked for gives %+v, want %+v", got, want)
	}
}

// lateIn is the last second of the year 9999, that many hours from UTC.
func lateIn(hours int) time.Time {
	return time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", hours*3600))
}

func TestValidTime(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want bool
	}{
		{time.Time{}, true}, {start, true}, {lateIn(0), true}, {lateIn(1), true}, {lateIn(-1), false},
		{time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), true}, {time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)), false},
		{time.Unix(1<<62, 0), false}, {time.Unix(-1<<62, 0), false},
	} {
		if task.ValidTime(c.at) != c.want {
			t.Errorf("%d years: want %v", c.at.Year(), c.want)
		}
		if _, err := json.Marshal(c.at.UTC()); c.want && err != nil {
			t.Errorf("a valid time is not JSON: %v", err)
		}
	}
	for place, spec := range map[string]task.Spec{"/run_at": {RunAt: lateIn(-1)}, "/deadline": {Deadline: lateIn(-1)}} {
		if _, err := task.New(someID, "ann", spec, task.DefaultLimits(), start); task.CodeOf(err) != task.CodeInvalidRequest || !strings.Contains(err.Error(), place) {
			t.Errorf("%s in the year 10000: %v", place, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	long := strings.Repeat("x", 256)
	minus, huge := -1, task.MaxRetain+1
	many := map[string]string{}
	for i := range task.MaxLabels + 1 {
		many[string(rune('A'+i))] = ""
	}
	for place, spec := range map[string]task.Spec{
		"/key": {Key: long}, "/priority": {Priority: task.MaxPriority + 1}, "/timeout": {Timeout: -1}, "/max_attempts": {MaxAttempts: -1},
		"/max_lost": {MaxLost: &minus}, "/retain": {Retain: &huge}, "/deadline": {Deadline: start}, "/labels": {Labels: many},
		"/route": {Route: map[string]string{"": "x"}}, "/labels/a/b~": {Labels: map[string]string{"a/b~": long}},
		"/labels/a=b": {Labels: map[string]string{"a=b": "c"}}, "/route/=": {Route: map[string]string{"=": ""}},
	} {
		_, err := task.New(someID, "ann", spec, task.DefaultLimits(), start)
		e, ok := err.(*task.Error)
		if !ok || e.Code != task.CodeInvalidRequest || len(e.Fields) != 1 || e.Fields[0].Place() != place || !strings.Contains(e.Message, place) {
			t.Errorf("%s: %+v", place, err)
		}
	}
	_, err := task.New(someID, "ann", task.Spec{Key: long, Priority: -5000, Timeout: task.MaxTimeout + 1}, task.DefaultLimits(), start)
	var at []string
	for _, f := range err.(*task.Error).Fields {
		at = append(at, f.Place())
	}
	if want := []string{"/key", "/priority", "/timeout"}; !slices.Equal(at, want) {
		t.Errorf("all that is wrong: %v, want %v", at, want)
	}
	lim := task.DefaultLimits()
	lim.MinLost = 1
	none := 0
	for what, spec := range map[string]task.Spec{"the client's": {MaxLost: &none}, "the operator's": {}} {
		l := lim
		if spec.MaxLost == nil {
			l.MaxLost = 0
		}
		_, err := task.New(someID, "ann", spec, l, start)
		if e, ok := err.(*task.Error); !ok || e.Code != task.CodeInvalidRequest || len(e.Fields) != 1 || e.Fields[0].Place() != "/max_lost" {
			t.Errorf("%s max_lost of 0 where nobody can say what has run: %v", what, err)
		}
	}
	lim = task.DefaultLimits()
	lim.MaxInput = 3
	if _, err := task.New(someID, "ann", task.Spec{Input: []byte("1234")}, lim, start); task.CodeOf(err) != task.CodeTooLarge {
		t.Errorf("an input over the limit: %v", err)
	}
	if _, err := task.New(someID, "ann", task.Spec{Input: []byte("123")}, lim, start); err != nil {
		t.Errorf("an input at the limit: %v", err)
	}
}
