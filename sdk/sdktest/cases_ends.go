package sdktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// checkpoints: what was saved is there again for the next attempt, which goes on from it. An
// author's script is interrupted when it has saved something; the probe fails by itself.
func checkpoints(t *testing.T, s *suite) {
	c := s.Checkpoint.offered(t, "Checkpoint")
	a := s.newAttempt(newTask(c))
	if !isProbe(c.Type) {
		a.interrupt = sdk.ErrTimeout
	}
	o := a.execute().wait(t)
	want(t, o, sdk.OutcomeFailed, sdk.OutcomeSucceeded, sdk.OutcomeYielded)
	if o.Permanent {
		t.Fatalf("an attempt that was interrupted must not fail permanently, or nothing resumes: %+v", o)
	}
	saved := a.saved()
	if len(saved) == 0 {
		t.Fatalf("no checkpoint was saved; the attempt ended with %s: %s", o.Kind, o.Message)
	}
	if isProbe(c.Type) && (o.Kind != sdk.OutcomeFailed || len(saved) != 2 || string(saved[0]) != "first") {
		t.Fatalf("want two checkpoints and a failure: %d, %+v", len(saved), o)
	}
	last := saved[len(saved)-1]
	next := newTask(c)
	next.ID, next.Attempt, next.Checkpoint = a.task.ID, 2, last
	o = c.succeeds(t, s.newAttempt(next).execute())
	if got, should := string(o.Result.Data), `"resumed from `+digest(last)+`"`; isProbe(c.Type) && got != should {
		t.Errorf("the next attempt says %s, want %s", got, should)
	}
}

// checkpointRefused: what the host refuses, the script must hear of.
func checkpointRefused(t *testing.T, s *suite) {
	a := s.newAttempt(newTask(Case{Type: probeCheckpoint, Input: "null"}))
	a.refuse = errors.New("the store is full")
	o := a.execute().wait(t)
	want(t, o, sdk.OutcomeFailed)
	if !strings.Contains(o.Message, "the store is full") {
		t.Errorf("the script was not told why its checkpoint was refused: %q", o.Message)
	}
}

func cancels(t *testing.T, s *suite) {
	a := s.start(s.Block.offered(t, "Block"))
	a.running(t)
	a.cancel(sdk.ErrCancel)
	// Released is right only for what had not begun, which a probe says it has.
	if isProbe(s.Block.Type) {
		want(t, a.wait(t), sdk.OutcomeCanceled)
	} else {
		want(t, a.wait(t), sdk.OutcomeCanceled, sdk.OutcomeReleased)
	}
}

// cancelsTooLate: what happened is what is recorded.
func cancelsTooLate(t *testing.T, s *suite) {
	a := s.start(Case{Type: probeStubborn, Input: "null"})
	a.running(t)
	a.cancel(sdk.ErrCancel)
	want(t, a.wait(t), sdk.OutcomeSucceeded)
}

func timesOut(t *testing.T, s *suite) {
	a := s.start(s.Block.offered(t, "Block"))
	a.running(t)
	a.cancel(sdk.ErrTimeout)
	o := a.wait(t)
	if !isProbe(s.Block.Type) && o.Kind == sdk.OutcomeReleased {
		return
	}
	want(t, o, sdk.OutcomeFailed)
	if o.Code != sdk.CodeTimeout || strings.Count(o.Message, "attempt timed out:") != 1 {
		t.Errorf("want code %q, said once: %+v", sdk.CodeTimeout, o)
	}
}

func pauses(t *testing.T, s *suite) {
	a := s.start(Case{Type: probeBlock, Input: "null"})
	a.running(t)
	a.cancel(sdk.ErrPause)
	o := a.wait(t)
	want(t, o, sdk.OutcomeYielded)
	if o.Yield == nil || !o.Yield.Resume {
		t.Errorf("a paused task rests until it is resumed: %+v", o.Yield)
	}
}

// detaches: a local attempt stops without cost; one that outlives the host goes on
// and can be joined again.
func detaches(t *testing.T, s *suite) {
	a := s.start(s.Block.offered(t, "Block"))
	a.running(t)
	a.cancel(sdk.ErrDetach)
	o := a.wait(t)
	if o.Kind == sdk.OutcomeSucceeded || o.Kind == sdk.OutcomeCanceled {
		t.Fatalf("the outcome is %s, but nobody finished or canceled it", o.Kind)
	}
	if !s.info.Outlives {
		want(t, o, sdk.OutcomeInterrupted)
		return
	}
	if !isProbe(s.Block.Type) {
		return
	}
	task := a.task
	task.Rejoin, task.Handle = true, a.handle
	again := s.newAttempt(task).execute()
	again.cancel(sdk.ErrCancel)
	want(t, again.wait(t), sdk.OutcomeCanceled)
}

// panics: one bad task must not take the others of its process with it.
func panics(t *testing.T, s *suite) {
	c := s.Panic.offered(t, "Panic")
	var other *attempt
	if s.Block.Type != "" {
		other = s.start(s.Block)
		other.running(t)
	}
	o := s.start(c).wait(t)
	want(t, o, sdk.OutcomeFailed)
	if o.Message == "" || strings.HasPrefix(o.Message, "panic: ") && !strings.Contains(o.Details["stack"], "goroutine") {
		t.Errorf("want the panic's message and stack: %+v", o)
	}
	if isProbe(c.Type) {
		if !strings.Contains(o.Message, "panic: a probe panics") {
			t.Errorf("want the panic's message: %+v", o)
		}
		o = s.start(Case{Type: c.Type, Input: `{"how":"error"}`}).wait(t)
		want(t, o, sdk.OutcomeFailed)
		if !strings.Contains(o.Message, "panic: ") {
			t.Errorf("an error that panics when it is asked what it says: %+v", o)
		}
	}
	want(t, s.start(Case{Type: s.Type, Input: s.Input}).wait(t), sdk.OutcomeSucceeded)
	if other != nil {
		other.cancel(sdk.ErrCancel)
		want(t, other.wait(t), sdk.OutcomeCanceled, sdk.OutcomeReleased)
	}
}

// largeResult: a result that travels in chunks arrives as it is.
func largeResult(t *testing.T, s *suite) {
	const inline = 256 << 10
	c := s.Large.offered(t, "Large")
	if s.info.MaxResult > 0 && s.info.MaxResult <= inline {
		t.Skipf("the executor takes results of %d bytes at the most (Info.MaxResult)", s.info.MaxResult)
	}
	res := c.succeeds(t, s.start(c)).Result
	switch {
	case len(res.Data) <= inline:
		t.Errorf("the result has %d bytes; one that travels in chunks has more than %d", len(res.Data), inline)
	case res.ContentType == sdk.ContentJSON && !json.Valid(res.Data):
		t.Errorf("a result of %d bytes arrived as what is no JSON", len(res.Data))
	case isProbe(c.Type) && string(res.Data) != `"`+strings.Repeat("y", 3<<20)+`"`:
		t.Errorf("a result of 3 MiB arrived changed: %d bytes", len(res.Data))
	}
}

func largePayloads(t *testing.T, s *suite) {
	size := 3 << 20
	if s.info.MaxInput > 0 {
		size = min(size, int(s.info.MaxInput)-64)
	}
	pad := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	o := s.start(Case{Type: probeBig, Input: `{"pad":"` + string(pad) + `"}`}).wait(t)
	want(t, o, sdk.OutcomeSucceeded)
	if string(o.Result.Data) != digest(pad) {
		t.Errorf("an input of %d bytes arrived changed", size)
	}
	if s.info.MaxResult > 0 && s.info.MaxResult < 3<<20 {
		return
	}
	o = s.start(Case{Type: probeBig, Input: `{"result":3145728}`}).wait(t)
	want(t, o, sdk.OutcomeSucceeded)
	if !bytes.Equal(o.Result.Data, make([]byte, 3<<20)) || o.Result.ContentType != "application/octet-stream" {
		t.Errorf("a result of 3 MiB arrived changed: %d bytes of %q", len(o.Result.Data), o.Result.ContentType)
	}
}

// oversized: a result that cannot be carried is an outcome, not a broken stream.
func oversized(t *testing.T, s *suite) {
	other := s.start(Case{Type: probeBlock, Input: "null"})
	other.running(t)
	const size = 64<<20 + 1
	o := s.start(Case{Type: probeBig, Input: `{"result":67108865}`}).wait(t)
	if s.way.grpc || s.info.Deferred || o.Kind != sdk.OutcomeSucceeded {
		want(t, o, sdk.OutcomeFailed)
		if o.Code != sdk.CodeResultTooLarge || !o.Permanent {
			t.Errorf("want code %q, permanently: %+v", sdk.CodeResultTooLarge, o)
		}
	} else if len(o.Result.Data) != size { // called directly, the host itself is the judge
		t.Errorf("the result has %d bytes, want %d", len(o.Result.Data), size)
	}
	other.cancel(sdk.ErrCancel)
	want(t, other.wait(t), sdk.OutcomeCanceled)
}

func duplicates(t *testing.T, s *suite) {
	first := s.start(Case{Type: probeNonce, Input: "null"})
	first.running(t)
	second := s.newAttempt(first.task).execute()
	a, b := first.wait(t), second.wait(t)
	want(t, a, sdk.OutcomeSucceeded)
	want(t, b, sdk.OutcomeSucceeded)
	if string(a.Result.Data) != string(b.Result.Data) {
		t.Errorf("one token ran twice: %s and %s", a.Result.Data, b.Result.Data)
	}
}

func reportsLate(t *testing.T, s *suite) {
	a := s.start(Case{Type: probeLate, Input: "null"})
	a.running(t)
	a.cancel(sdk.ErrCancel)
	want(t, a.wait(t), sdk.OutcomeCanceled)
	if saved := a.saved(); len(saved) > 0 && string(saved[0]) != "while it stops" {
		t.Errorf("a checkpoint of a returned attempt was taken: %q", saved[0])
	}
	want(t, s.start(Case{Type: s.Type, Input: s.Input}).wait(t), sdk.OutcomeSucceeded)
}

func reverts(t *testing.T, s *suite) {
	revertible := false
	for _, ti := range s.info.Types {
		revertible = revertible || (ti.Name == probeRevert && ti.Revertible)
	}
	if !revertible {
		t.Skipf("the executor does not say that %s is revertible", probeRevert)
	}
	done := s.start(Case{Type: probeRevert, Input: "null"})
	o := done.wait(t)
	want(t, o, sdk.OutcomeSucceeded)
	undo := newTask(Case{Type: probeRevert, Input: "null"})
	undo.ID, undo.Result = done.task.ID, &o.Result
	want(t, s.newAttempt(undo).revert().wait(t), sdk.OutcomeSucceeded)
	undo = newTask(Case{Type: probeRevert, Input: "null"})
	undo.Failure = &sdk.Failure{Code: sdk.CodeTimeout, Message: "too slow"}
	want(t, s.newAttempt(undo).revert().wait(t), sdk.OutcomeSucceeded)
	o = s.newAttempt(newTask(Case{Type: probeOK, Input: "{}"})).revert().wait(t)
	want(t, o, sdk.OutcomeFailed)
	if !o.Permanent {
		t.Errorf("what cannot be undone must say so permanently: %+v", o)
	}
}
