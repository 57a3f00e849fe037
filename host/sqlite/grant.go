package sqlite

import (
	"cmp"
	"slices"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

var (
	sqlWaitingTasks = sqlReadyTasks + named(` t.seq BETWEEN ? AND ? AND t.waiting = +{resource}`)
	sqlMakeReady    = named(`UPDATE task SET waiting = {queued}, version = version + 1, updated_at = ? WHERE seq BETWEEN ? AND ? AND waiting = +{resource}`)
)

// grantAtOnce bounds how many get a resource in one commit: a name that many are to share is
// given on to the rest by the commits of signals.
const grantAtOnce = groupRows

// grant is a claim of a task that holds its resource from now on.
type grant struct {
	task   int64
	name   string
	byName int64 // as claimRow has it
}

// waitingTask is what a grant needs of a task that waits for resources.
type waitingTask struct {
	entry   lane.Entry // in the queue of its lane, once it is ready
	id      task.ID
	lane    *lane.Lane
	version int64
	one     bool // it needs one resource and no more
}

func waitingOf(t *task.Task, l *lane.Lane) waitingTask {
	return waitingTask{entryOf(int64(t.Priority), t.Place, t.Seq), t.ID, l, t.Version, len(t.Resources.Exclusive)+len(t.Resources.Shared) == 1}
}

// grantResources gives on what the transaction has freed. It is part of the commit: so no
// resource that somebody waits for is ever seen free, and a crash leaves nothing to be given.
func (w *writer) grantResources() error {
	q := &w.resources
	if len(q.freed) == 0 {
		return w.writeClaims()
	}
	var granted []grant
	for _, name := range q.freed {
		var err error
		if granted, err = w.grantTo(name, granted); err != nil {
			return err
		}
	}
	q.freed = q.freed[:0]
	if err := w.writeClaims(); err != nil {
		return err
	}
	w.wrote(2 * int64(len(granted)))
	return w.writeGrants(granted)
}

// grantTo gives a resource to those who are next, as many as may have it, and adds them to
// granted.
func (w *writer) grantTo(name resourceName, granted []grant) ([]grant, error) {
	q, err := w.queueOf(name)
	if err != nil {
		return granted, err
	}
	q.freed = false
	for q.last > q.holder {
		if err := w.readWaiters(name, q); err != nil {
			return granted, err
		}
		n := resource.Grant(q.holders, q.mode, q.modes)
		if n == 0 {
			break
		}
		if len(granted)+n > grantAtOnce {
			return granted, w.signal(task.Signal{Kind: task.SignalResource, Owner: name.owner, Name: name.name})
		}
		for _, o := range q.waiters[:n] {
			granted = append(granted, grant{o.task, name.name, flag(!o.kept)})
		}
		q.grant(n)
	}
	return granted, nil
}

// writeGrants puts on record who holds what from now on, and makes those ready that wait for
// nothing else: runs of tasks that need one resource by one statement.
func (w *writer) writeGrants(granted []grant) error {
	slices.SortFunc(granted, func(a, b grant) int { return cmp.Compare(a.task, b.task) })
	seqs := make([]int64, 0, len(granted))
	for _, g := range granted {
		if n := len(seqs); n == 0 || seqs[n-1] != g.task {
			seqs = append(seqs, g.task)
		}
	}
	tasks, err := w.readWaiting(seqs)
	if err != nil {
		return err
	}
	var alone [2][]int64 // those that need one resource, by grant.byName
	at := 0
	for _, g := range granted {
		for at < len(tasks) && tasks[at].entry.Seq < g.task {
			at++
		}
		if at < len(tasks) && tasks[at].entry.Seq == g.task && tasks[at].one {
			alone[g.byName] = append(alone[g.byName], g.task)
			continue
		}
		w.st.claimGrant.bind().int(w.resources.at).int(g.byName).int(g.task).value(g.name)
		if err := w.st.claimGrant.run(); err != nil {
			return err
		}
	}
	for byName, seqs := range alone {
		if err := eachRun(seqs, func(first, last int64) error {
			w.st.claimsGrant.bind().int(w.resources.at).int(int64(byName)).int(first).int(last)
			return w.st.claimsGrant.run()
		}); err != nil {
			return err
		}
	}
	return w.makeReady(tasks)
}

// readWaiting gives those of the tasks that wait for resources, as they are kept or from the table;
// one that is paused, say, does not.
func (w *writer) readWaiting(seqs []int64) (tasks []waitingTask, err error) {
	tasks = make([]waitingTask, 0, len(seqs))
	unkept := make([]int64, 0, len(seqs))
	for _, seq := range seqs {
		if t, kept := w.ready.waiting(seq); kept {
			tasks = append(tasks, t)
		} else {
			unkept = append(unkept, seq)
		}
	}
	if len(unkept) == 0 {
		return tasks, nil
	}
	err = eachRun(unkept, func(first, last int64) error {
		var failed error
		st := w.st.waitingTasks
		st.bind().int(first).int(last)
		err := st.each(func(r row) bool {
			var l *lane.Lane
			if l, failed = w.laneOf(r.int(readyCount - 1)); failed != nil {
				return false
			}
			t, keep := readReadyTask(r, l)
			tasks = append(tasks, waitingOf(&t, l))
			if t.Waiting = task.WaitResource; keep {
				w.ready.keep(t.Seq, &t, l)
			}
			return true
		})
		return cmp.Or(err, failed)
	})
	slices.SortFunc(tasks, func(a, b waitingTask) int { return cmp.Compare(a.entry.Seq, b.entry.Seq) })
	return tasks, err
}

// makeReady makes those of the tasks ready that have all their resources.
func (w *writer) makeReady(tasks []waitingTask) error {
	seqs := make([]int64, 0, len(tasks))
	for i := range tasks {
		t := &tasks[i]
		seq := t.entry.Seq
		if !t.one {
			claims, err := w.claimsOf(seq)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(claims, claimRow.waits) {
				continue
			}
		}
		seqs = append(seqs, seq)
		l := t.lane
		w.feed.noteOther(task.FeedChange{Seq: seq, ID: t.id, Owner: l.Owner, State: task.Pending, Version: t.version + 1})
		w.lanes.Move(l, lane.Waiting, l, lane.Ready)
		w.lanes.MoveReason(l, task.WaitResource, l, task.WaitQueued)
		l.Window.Add(t.entry)
		w.ready.madeReady(seq, w.resources.at)
	}
	return eachRun(seqs, func(first, last int64) error {
		w.st.makeReady.bind().int(w.resources.at).int(first).int(last)
		return w.st.makeReady.run()
	})
}
