package sqlite

import (
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

const (
	readyKept   = 1 << 15 // tasks: 6 MiB
	readyInputs = 4 << 20 // bytes of their inputs
	readyWhole  = 1 << 12 // of those that have more to them than most: 4 MiB
	readyLong   = 1 << 19 // how many tasks younger than a task that is kept give way to it
)

// readyTasks keeps tasks that are ready, or wait for resources alone, as they are on record, so
// that nobody need read them one by one: those that were inserted last, and those of the windows
// that were read last. It is the writer's. One that is claimed or changes is forgotten, and stays
// so if that is rolled back; so is one that was read, inserted or made ready by what is rolled back,
// which may have changed it before: it is read anew then.
type readyTasks struct {
	kept    []keptTask // each in its place: its order key modulo the length
	inputs  int        // bytes of those that are kept
	whole   int        // of how many all is kept
	touched []int64    // order keys of those that the open transaction kept or made ready
}

// committed is called after the commit.
func (k *readyTasks) committed() { k.touched = k.touched[:0] }

// rollback is called instead: the rows are as they were before.
func (k *readyTasks) rollback() {
	for _, seq := range k.touched {
		k.forget(seq)
	}
	k.touched = k.touched[:0]
}

// keptTask is of most tasks all that differs from one to another: a tenth of the room.
type keptTask struct {
	seq                               int64 // 0: there is none
	id, group                         task.ID
	lane                              *lane.Lane
	waiting                           task.Waiting
	priority, maxAttempts, maxLost    int32
	version                           int64
	created, runAt, updated, deadline int64
	timeout, retain                   time.Duration
	exclusive                         string          // the resource that it needs; "" for none
	input                             json.RawMessage // nil for null
	whole                             *task.Task      // if it has more
}

// inserted takes up a task that was inserted as one to be kept.
func (k *readyTasks) inserted(t *task.Task, r *insertRow) {
	if len(t.Input)+len(t.Checkpoint)+len(r.labels)+len(r.lane.Route)+len(r.resources) > readyBytes {
		return
	}
	if kept := k.place(r.seq); kept.seq != 0 && kept.seq > r.seq-readyLong { // it is claimed before this one, most likely
		return
	}
	k.keep(r.seq, t, r.in)
}

// place is where a task with that order key is kept.
func (k *readyTasks) place(seq int64) *keptTask {
	if k.kept == nil {
		k.kept = make([]keptTask, readyKept)
	}
	return &k.kept[seq%readyKept]
}

// keep keeps a task of that lane with that order key, as it is on record, in place of whoever
// else has its place.
func (k *readyTasks) keep(seq int64, t *task.Task, l *lane.Lane) {
	n := k.place(seq)
	k.clear(n)
	k.touched = append(k.touched, seq)
	exclusive, plain := plainReady(t)
	if !plain {
		if k.whole == readyWhole {
			return
		}
		k.whole++
		whole := *t
		whole.Seq = seq
		whole.OnConflict = nil
		for _, at := range [...]*time.Time{&whole.CreatedAt, &whole.RunAt, &whole.UpdatedAt, &whole.Deadline} {
			*at = fromMicros(micros(*at))
		}
		*n = keptTask{seq: seq, waiting: t.Waiting, lane: l, whole: &whole}
		return
	}
	if k.inputs+len(t.Input) > readyInputs {
		return
	}
	*n = keptTask{
		seq: seq, id: t.ID, group: t.Group, lane: l, waiting: t.Waiting, version: t.Version, exclusive: exclusive,
		priority: int32(t.Priority), maxAttempts: int32(t.MaxAttempts), maxLost: int32(t.MaxLost),
		created: micros(t.CreatedAt), runAt: micros(t.RunAt), updated: micros(t.UpdatedAt), deadline: micros(t.Deadline),
		timeout: t.Timeout, retain: t.Retain,
	}
	if inputRow(t.Input) {
		n.input = t.Input
		k.inputs += len(n.input)
	}
}

// plainReady says that a task has no more than keptTask has fields for, and which resource.
func plainReady(t *task.Task) (exclusive string, plain bool) {
	if len(t.Resources.Shared) == 0 && len(t.Resources.Exclusive) == 1 {
		exclusive = t.Resources.Exclusive[0]
	}
	return exclusive, (exclusive != "" || t.Resources.None()) && len(t.Checkpoint) == 0 &&
		len(t.Labels) == 0 && len(t.Route) == 0 && t.Key == "" && t.Trace == "" && t.Step == "" && t.Place == 0 &&
		t.Flow.IsZero() && t.Parent.IsZero()
}

// task is the task as it was kept.
func (n *keptTask) task() task.Task {
	if n.whole != nil {
		return *n.whole
	}
	l := &n.lane.Lane
	t := task.Task{
		Seq: n.seq, ID: n.id, Group: n.group, Type: l.Type, Owner: l.Owner, Pinned: l.Executor, Suspect: l.Suspect,
		State: task.Pending, Waiting: n.waiting, Version: n.version, Input: nullInput,
		Priority: int(n.priority), MaxAttempts: int(n.maxAttempts), MaxLost: int(n.maxLost), Timeout: n.timeout, Retain: n.retain,
		CreatedAt: fromMicros(n.created), RunAt: fromMicros(n.runAt), UpdatedAt: fromMicros(n.updated), Deadline: fromMicros(n.deadline),
	}
	if n.input != nil {
		t.Input = n.input
	}
	if n.exclusive != "" {
		t.Resources.Exclusive = []string{n.exclusive}
	}
	return t
}

// take gives the task with that order key if it is kept as one that is ready, and forgets it.
func (k *readyTasks) take(seq int64) (t task.Task, kept bool) {
	if !k.have(seq) || k.place(seq).waiting != task.WaitQueued {
		return t, false
	}
	n := k.place(seq)
	t = n.task()
	k.clear(n)
	return t, true
}

// waiting is what a grant needs of the task with that order key, if it is kept as one that waits for resources.
func (k *readyTasks) waiting(seq int64) (t waitingTask, kept bool) {
	if !k.have(seq) || k.place(seq).waiting != task.WaitResource {
		return t, false
	}
	n := k.place(seq)
	if n.whole != nil {
		return waitingOf(n.whole, n.lane), true
	}
	return waitingTask{entryOf(int64(n.priority), 0, seq), n.id, n.lane, n.version, true}, true
}

// madeReady changes a task that is kept as its row was changed.
func (k *readyTasks) madeReady(seq, at int64) {
	if !k.have(seq) {
		return
	}
	k.touched = append(k.touched, seq)
	n := k.place(seq)
	n.waiting = task.WaitQueued
	n.version++
	n.updated = at
	if n.whole != nil {
		n.whole.Waiting = task.WaitQueued
		n.whole.Version++
		n.whole.UpdatedAt = fromMicros(at)
	}
}

// have says that the task with that order key is kept.
func (k *readyTasks) have(seq int64) bool { return k.kept != nil && k.kept[seq%readyKept].seq == seq }

func (k *readyTasks) forget(seq int64) {
	if k.have(seq) {
		k.clear(k.place(seq))
	}
}

func (k *readyTasks) clear(n *keptTask) {
	if n.whole != nil {
		k.whole--
	}
	k.inputs -= len(n.input)
	*n = keptTask{}
}
