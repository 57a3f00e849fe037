package sqlite

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// Promote implements task.Queue.
func (s *Store) Promote(ctx context.Context, now time.Time, limit int) (n int, next time.Time, err error) {
	o := &promoteOp{now: now, limit: limit}
	if err := s.w.do(ctx, o); err != nil {
		return 0, time.Time{}, err
	}
	return o.n, o.next, nil
}

type promoteOp struct {
	now   time.Time
	limit int
	n     int
	next  time.Time
}

func (o *promoteOp) size() (rows, bytes int) { return o.limit, 0 }

func (o *promoteOp) run(w *writer) error {
	type due struct {
		seq, lane, priority, version, place int64
		id                                  task.ID
		resources                           task.Resources
	}
	var ready []due
	o.n, o.next = 0, time.Time{}
	st := w.st.due
	st.bind().int(micros(o.now)).int(int64(o.limit))
	if err := st.each(func(r row) bool {
		d := due{seq: r.int(0), lane: r.int(1), priority: r.int(2), version: r.int(3), place: r.int(5)}
		copy(d.id[:], r.blob(4))
		_ = unmarshal(r.blob(6), &d.resources) // what is damaged needs none, and is shown as damaged
		ready = append(ready, d)
		return true
	}); err != nil {
		return err
	}
	for _, d := range ready {
		n, err := w.laneOf(d.lane)
		if err != nil {
			return err
		}
		waiting, err := w.waitForResources(&task.Task{Owner: n.Owner, Resources: d.resources}, d.seq, micros(o.now))
		if err != nil {
			return err
		}
		st := w.st.promote
		st.bind().int(int64(waiting)).int(micros(o.now)).int(d.seq)
		if err := st.run(); err != nil {
			return err
		}
		w.feed.noteOther(task.FeedChange{Seq: d.seq, ID: d.id, Owner: n.Owner, State: task.Pending, Version: d.version + 1})
		w.lanes.MoveReason(n, task.WaitScheduled, n, waiting)
		if waiting != task.WaitQueued {
			continue
		}
		w.lanes.Move(n, lane.Waiting, n, lane.Ready)
		n.Window.Add(entryOf(d.priority, d.place, d.seq))
	}
	o.n = len(ready)
	found, err := w.st.nextDue.one()
	if found {
		o.next = w.st.nextDue.row.time(0)
	}
	return err
}
