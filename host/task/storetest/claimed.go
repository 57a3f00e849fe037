package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// claimsAreOnRecord: what a claim gives is what stands on record then, whatever there is of
// the task and whatever became of it while it waited.
func claimsAreOnRecord(s *suite) {
	kinds := map[string]func(*task.Task){
		"little": func(*task.Task) {},
		"much":   func(t *task.Task) { t.Input = []byte(`"` + strings.Repeat("x", 10_000) + `"`) },
		"long labels": func(t *task.Task) {
			t.Labels = map[string]string{"a": strings.Repeat("x", 255), "b": strings.Repeat("y", 255)}
		},
		"a checkpoint": func(t *task.Task) { t.Checkpoint = []byte("c") },
		"split seconds": func(t *task.Task) {
			t.CreatedAt, t.UpdatedAt, t.RunAt = start.Add(1001), start.Add(1001), start.Add(1001)
		},
		"a step":    func(t *task.Task) { t.Flow, t.Step = id(), "step one" },
		"resources": func(t *task.Task) { t.Resources = task.Resources{Exclusive: []string{"a"}, Shared: []string{"b"}} },
	}
	for name, meanwhile := range map[string]func(*suite, task.Task){
		"nothing":   func(*suite, task.Task) {},
		"a restart": func(s *suite, _ task.Task) { s.reopen() },
		"a cancel and a retry": func(s *suite, t task.Task) {
			s.apply(task.Cancel(&t, "ann", start))
			s.apply(task.Retry(new(s.get(t.ID)), "ann", start))
		},
		"a restart and a cancel": func(s *suite, t task.Task) {
			s.reopen()
			s.apply(task.Cancel(&t, "ann", start))
			s.apply(task.Retry(new(s.get(t.ID)), "ann", start))
		},
		"a lost attempt": func(s *suite, t task.Task) {
			s.settle(s.claimOnly(t, false), task.Outcome{Kind: task.OutcomeLost, Message: "gone"})
		},
		"a failed attempt": func(s *suite, t task.Task) {
			s.settle(s.claimOnly(t, false), task.Outcome{Kind: task.OutcomeFailed, Message: "no luck", Details: map[string]any{"a": "b"}})
			s.apply(task.Due(new(s.get(t.ID)), start))
		},
		"a time": func(s *suite, t task.Task) {
			s.settle(s.claimOnly(t, true), task.Outcome{Kind: task.OutcomeReleased})
			_, _, err := s.handle().Promote(s.ctx, start.Add(time.Hour), 1000)
			s.must(err)
		},
	} {
		for kind, set := range kinds {
			for _, deferred := range []bool{false, true} {
				lost := 5
				t := s.make(task.Spec{
					Type: "import", Key: fmt.Sprint(name, kind, deferred), Executor: "fleet", Priority: 7, Input: []byte(`{"a":1}`), Labels: map[string]string{"team": "a"},
					Route: map[string]string{"zone": "b"}, Timeout: 17 * time.Second, Deadline: start.Add(48 * time.Hour), MaxAttempts: 9, MaxLost: &lost, Trace: "trace",
				})
				set(t)
				s.put(t)
				meanwhile(s, s.get(t.ID))
				s.Logf("%s, and meanwhile %s", kind, name)
				got := s.claimOnly(*t, deferred)
				equal(s.T, s.get(t.ID), got)
				s.settle(got, task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
			}
		}
	}
}

// claimOnly claims the task, whose priority is the highest.
func (s *suite) claimOnly(t task.Task, deferred bool) task.Task {
	s.Helper()
	ts := s.claimAs(task.Claim{Executor: "x", Shares: []task.Share{{Lanes: s.lanes(), Max: 1}}, Max: 1, Deferred: deferred})
	if len(ts) != 1 || ts[0].ID != t.ID {
		s.Fatalf("claimed %d tasks, want task %s alone", len(ts), t.ID)
	}
	return ts[0]
}
