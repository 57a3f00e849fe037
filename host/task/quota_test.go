package task_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func TestQuotasOf(t *testing.T) {
	q := task.Quotas{Default: task.Quota{Waiting: 10, Running: 2}, Owners: map[string]task.Quota{
		"few": {Waiting: 1}, "any": {Waiting: task.Unlimited, Running: task.Unlimited, Bytes: task.Unlimited}, "fat": {Bytes: 7}}}
	for owner, want := range map[string]task.Quota{
		"someone": {Waiting: 10, Running: 2}, "few": {Waiting: 1, Running: 2}, "any": {}, "fat": {Waiting: 10, Running: 2, Bytes: 7}, "": {},
	} {
		if got := q.Of(owner); got != want {
			t.Errorf("%q may have %+v, want %+v", owner, got, want)
		}
	}
	if !q.AnyWaiting() || !q.AnyRunning() || !q.AnyBytes() {
		t.Error("what bounds somebody is not said to")
	}
	none := task.Quotas{Owners: map[string]task.Quota{"any": {Waiting: task.Unlimited, Running: task.Unlimited, Bytes: task.Unlimited}}}
	if none.AnyWaiting() || none.AnyRunning() || none.AnyBytes() || none.Of("x") != (task.Quota{}) {
		t.Error("what bounds nobody is said to")
	}
}

func TestQuotaChecks(t *testing.T) {
	q := task.Quota{Waiting: 3, Bytes: 100}
	for name, c := range map[string]struct {
		err   error
		code  task.Code
		retry time.Duration
		says  string
	}{
		"room":              {q.CheckWaiting("ann", 1, 2), "", 0, ""},
		"one too many":      {q.CheckWaiting("ann", 1, 3), task.CodeQuotaExceeded, 5 * time.Second, `owner "ann" is 3 waiting tasks: 1 wait already, and 3 would come`},
		"more wait already": {q.CheckWaiting("ann", 5, 1), task.CodeQuotaExceeded, 5 * time.Second, "5 wait already"},
		"none comes":        {q.CheckWaiting("ann", 5, 0), "", 0, ""},
		"no bound":          {task.Quota{}.CheckWaiting("ann", 5, 5), "", 0, ""},
		"bytes: room":       {q.CheckBytes("ann", 60, 40), "", 0, ""},
		"bytes: too many":   {q.CheckBytes("ann", 60, 41), task.CodeQuotaExceeded, time.Minute, `owner "ann" is 100 bytes kept: 60 are kept already, and 41 would come`},
		"bytes: more there": {q.CheckBytes("ann", 101, 0), task.CodeQuotaExceeded, time.Minute, "101 are kept already"},
		"bytes: never":      {q.CheckBytes("ann", 0, 101), task.CodeTooLarge, 0, "this request alone would keep 101"},
		"bytes: no bound":   {task.Quota{Waiting: 1}.CheckBytes("ann", 60, 41), "", 0, ""},
	} {
		var e *task.Error
		switch {
		case task.CodeOf(c.err) != c.code:
			t.Errorf("%s: %v", name, c.err)
		case errors.As(c.err, &e) && (e.RetryAfter != c.retry || !strings.Contains(e.Message, c.says)):
			t.Errorf("%s: %+v", name, e)
		}
	}
}
