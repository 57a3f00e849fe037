package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// resourceModel is who is to hold what, and who waits, reckoned as simply as can be.
type resourceModel struct {
	*suite
	rand   *rand.Rand
	queues map[string][]modelClaim
	tasks  []task.ID
}

type modelClaim struct {
	task task.ID
	mode resource.Mode
	held bool
}

var modelNames = []string{"a", "b", "c", "d"}

// resourcesAgainstModel: whatever tasks with resources go through, few of them or many, several
// in one commit, some of which is refused, those that hold and wait are who the rules say.
func resourcesAgainstModel(s *suite) {
	for seed, most := range []int{1, 2, 3, 25} {
		m := &resourceModel{suite: s, rand: rand.New(rand.NewPCG(uint64(seed), 0)), queues: map[string][]modelClaim{}}
		for step := range 100 {
			switch m.rand.IntN(12) {
			case 0, 1, 2:
				m.come(1 + m.rand.IntN(most))
			case 3, 4, 5:
				m.claim(m.rand.IntN(20))
			case 6:
				_, _, err := s.handle().Promote(s.ctx, start.Add(time.Hour), 100)
				s.must(err)
			case 7:
				s.reopen()
			default:
				m.change()
			}
			m.check(fmt.Sprintf("seed %d, step %d", seed, step))
		}
		m.end()
	}
}

// end has all end that there are.
func (m *resourceModel) end() {
	for _, id := range m.tasks {
		for t := m.get(id); !t.State.Final(); t = m.get(id) {
			c, err := task.Cancel(&t, "ann", start.Add(2*time.Second))
			if t.State == task.Canceling {
				c, err = task.Settle(&t, &task.Outcome{Kind: task.OutcomeCanceled}, task.Backoff{}, start.Add(2*time.Second), 0)
			}
			m.apply(c, err)
		}
		m.leave(id)
	}
	m.check("the end")
}

// come has new tasks come by one submission.
func (m *resourceModel) come(n int) {
	var ts []*task.Task
	for range n {
		var r task.Resources
		for _, name := range modelNames {
			switch m.rand.IntN(8) {
			case 0:
				r.Exclusive = append(r.Exclusive, name)
			case 1, 2:
				r.Shared = append(r.Shared, name)
			}
		}
		ts = append(ts, m.make(task.Spec{Resources: r, Priority: m.rand.IntN(3)}))
	}
	m.put(ts...)
	for _, t := range ts {
		m.tasks = append(m.tasks, t.ID)
		m.join(t)
	}
}

// join has a task that is ready come to the queues of its resources, if it is not there.
func (m *resourceModel) join(t *task.Task) {
	if len(m.claims(t.ID)) > 0 {
		return
	}
	for _, name := range t.Resources.Exclusive {
		m.queues[name] = append(m.queues[name], modelClaim{t.ID, resource.Exclusive, false})
	}
	for _, name := range t.Resources.Shared {
		m.queues[name] = append(m.queues[name], modelClaim{t.ID, resource.Shared, false})
	}
	m.give()
}

// give has those hold that may, the first of each queue.
func (m *resourceModel) give() {
	for _, q := range m.queues {
		for i := range q {
			if i > 0 && (q[i].mode == resource.Exclusive || q[i-1].mode == resource.Exclusive) {
				break
			}
			q[i].held = true
		}
	}
}

// leave takes a task out of all queues.
func (m *resourceModel) leave(id task.ID) {
	for name, q := range m.queues {
		m.queues[name] = slices.DeleteFunc(q, func(c modelClaim) bool { return c.task == id })
	}
	m.give()
}

func (m *resourceModel) claims(id task.ID) (claims []modelClaim) {
	for _, q := range m.queues {
		for _, c := range q {
			if c.task == id {
				claims = append(claims, c)
			}
		}
	}
	return claims
}

// claim begins attempts: of tasks that have all that they need, and of as many as there are.
func (m *resourceModel) claim(most int) {
	m.Helper()
	ready := m.ready(m.lanes())
	got := m.suite.claim(most)
	if int64(len(got)) != min(ready, int64(most)) {
		m.Fatalf("%d of %d that are ready were claimed, at most %d", len(got), ready, most)
	}
	for _, t := range got {
		if slices.ContainsFunc(m.claims(t.ID), func(c modelClaim) bool { return !c.held }) {
			m.Fatalf("task %d runs without its resources", t.Seq)
		}
	}
}

// change changes some of the tasks in one commit. Sometimes it is asked twice: the store refuses
// it the second time, after a rollback of what it had done by then.
func (m *resourceModel) change() {
	m.Helper()
	var changes []task.Change
	for _, id := range m.tasks {
		if m.rand.IntN(3) == 0 {
			continue
		}
		if c, err := m.next(m.get(id)); err == nil && !c.Empty() {
			changes = append(changes, c)
		}
	}
	once := len(changes)
	if m.rand.IntN(3) == 0 {
		changes = append(changes, changes...)
	}
	for i, err := range m.handle().Apply(m.ctx, changes) {
		t := &changes[i].Task
		switch {
		case i >= once:
			m.wantCode(err, task.CodeConflict)
		case err != nil:
			m.Fatal(err)
		case t.State.Final():
			m.leave(t.ID)
		case t.State == task.Pending && (t.Waiting == task.WaitQueued || t.Waiting == task.WaitResource):
			m.join(t)
		}
	}
}

// next is something that may happen to a task.
func (m *resourceModel) next(t task.Task) (task.Change, error) {
	at := start.Add(2 * time.Second)
	if t.State == task.Running {
		outcomes := []task.Outcome{{Kind: task.OutcomeFailed, Permanent: true}, {Kind: task.OutcomeFailed}, {Kind: task.OutcomeLost}, {Kind: task.OutcomeReleased}}
		o := task.Outcome{Kind: task.OutcomeSucceeded}
		if i := m.rand.IntN(16); i < len(outcomes) {
			o = outcomes[i]
		}
		return task.Settle(&t, &o, task.Backoff{Initial: time.Minute}, at, 0)
	}
	switch m.rand.IntN(10) {
	case 0:
		return task.Cancel(&t, "ann", at)
	case 1:
		return task.Pause(&t, "ann", at)
	case 2:
		return task.Retry(&t, "ann", at)
	case 3:
		return task.Reprioritize(&t, m.rand.IntN(3), at)
	}
	return task.Resume(&t, "ann", at)
}

// check holds the store against the model.
func (m *resourceModel) check(when string) {
	m.Helper()
	if all, err := port[task.SignalStore](m.suite).Signals(m.ctx, 10); err != nil || len(all) > 0 {
		m.Fatalf("%s: signals %v, %v", when, all, err)
	}
	for _, id := range m.tasks {
		t := m.get(id)
		if t.State == task.Pending && t.Waiting != task.WaitPaused && t.Waiting != task.WaitScheduled {
			want := task.WaitQueued
			if slices.ContainsFunc(m.claims(id), func(c modelClaim) bool { return !c.held }) {
				want = task.WaitResource
			}
			if t.Waiting != want {
				m.Fatalf("%s: task %d waits for %q, want %q", when, t.Seq, t.Waiting, want)
			}
		}
	}
	for _, name := range modelNames {
		r, err := port[resource.Store](m.suite).Resource(m.ctx, mine, name)
		if err != nil && task.CodeOf(err) != task.CodeNotFound {
			m.Fatal(err)
		}
		var got []modelClaim
		for _, c := range r.Holders {
			got = append(got, modelClaim{c.Task, c.Mode, true})
		}
		for _, c := range r.Queue {
			got = append(got, modelClaim{c.Task, c.Mode, false})
		}
		if !slices.Equal(got, m.queues[name]) || r.Held != int64(len(r.Holders)) || r.Waiting != int64(len(r.Queue)) {
			m.Fatalf("%s: %s has\n%v, %d and %d, want\n%v", when, name, got, r.Held, r.Waiting, m.queues[name])
		}
	}
}
