package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// idempotencyKept is how long a client may repeat a request under its key.
const idempotencyKept = 24 * time.Hour

// keptFrom is from when on idempotency keys are remembered, as it is stored.
func keptFrom(now time.Time) int64 { return micros(now.Add(-idempotencyKept)) }

// Insert implements task.Queue.
func (s *Store) Insert(ctx context.Context, sub task.Submission) (task.Receipt, error) {
	if len(sub.Tasks) == 0 {
		return task.Receipt{}, task.Errorf(task.CodeInvalidRequest, "nothing to submit: there are no tasks in the request")
	}
	rows, err := encodeRows(sub.Tasks)
	if err != nil {
		return task.Receipt{}, err
	}
	o := &insertOp{sub: sub, rows: rows}
	if err := s.w.do(ctx, o); err != nil {
		return task.Receipt{}, err
	}
	return o.receipt()
}

// receipt is what the operation answers once it is on disk.
func (o *insertOp) receipt() (task.Receipt, error) {
	if o.refused != nil {
		return task.Receipt{}, o.refused
	}
	if o.replayed != nil {
		return task.Receipt{Replayed: o.replayed}, nil
	}
	for i, t := range o.sub.Tasks {
		t.Seq = o.rows[i].seq
	}
	return task.Receipt{}, nil
}

type insertOp struct {
	sub      task.Submission
	rows     []insertRow
	group    task.ID // that the same operation makes; zero if none
	replayed []task.ID
	refused  error
}

func (o *insertOp) size() (rows, bytes int) { return sizeOfTasks(o.sub.Tasks) }

// sizeOfTasks is about how many rows new tasks write, and how many bytes of payload.
func sizeOfTasks(tasks []*task.Task) (rows, bytes int) {
	for _, t := range tasks {
		rows += 2
		bytes += len(t.Input)
	}
	return rows, bytes
}

func (o *insertOp) run(w *writer) error {
	o.refused, o.replayed = nil, nil
	done, err := o.replay(w)
	if done || err != nil {
		return err
	}
	if o.refused, err = w.checkNew(o.sub.Tasks, o.group); o.refused != nil || err != nil {
		return err
	}
	if err := w.insertAll(o.sub.Tasks, o.rows); err != nil {
		return err
	}
	return o.remember(w)
}

// replay looks for an earlier submission under the same idempotency key.
func (o *insertOp) replay(w *writer) (bool, error) {
	idem := o.sub.Idempotency
	if idem == nil {
		return false, nil
	}
	st := w.st.idemGet
	st.bind().value(idem.Owner).value(idem.Key).int(keptFrom(o.sub.Tasks[0].CreatedAt))
	found, err := st.one()
	if !found || err != nil {
		return false, err
	}
	if o.replayed, err = replayed(st.row, idem); err != nil {
		o.refused = err
	}
	return true, nil
}

// replayed reads hash and ids of a submission; idempotency_mismatch if it was another.
func replayed(r row, key *task.Idempotency) ([]task.ID, error) {
	if !bytes.Equal(r.blob(0), key.Hash[:]) {
		return nil, task.Errorf(task.CodeIdempotencyMismatch, "the idempotency key %q was used for another request: use a new key for a new request", key.Key)
	}
	packed := r.blob(1)
	ids := make([]task.ID, len(packed)/16)
	for i := range ids {
		copy(ids[i][:], packed[16*i:])
	}
	return ids, nil
}

// FindSubmission implements task.Queue.
func (s *Store) FindSubmission(ctx context.Context, key task.Idempotency, now time.Time) (task.Receipt, error) {
	var receipt task.Receipt
	var refused error
	err := s.rows(ctx, sqlIdemGet, []any{key.Owner, key.Key, keptFrom(now)}, 2, func(r row) bool {
		receipt.Replayed, refused = replayed(r, &key)
		return false
	})
	if err == nil {
		err = refused
	}
	return receipt, err
}

func (o *insertOp) remember(w *writer) error {
	idem := o.sub.Idempotency
	if idem == nil {
		return nil
	}
	ids := make([]byte, 0, 16*len(o.sub.Tasks))
	for _, t := range o.sub.Tasks {
		id := t.RecordedID()
		ids = append(ids, id[:]...)
	}
	st := w.st.idemInsert
	st.bind().value(idem.Owner).value(idem.Key).blob(idem.Hash[:]).blob(ids).int(micros(o.sub.Tasks[0].CreatedAt))
	return st.run()
}

// checkNew refuses new tasks by what is on record, before anything of them is written: so
// all or none needs no savepoint. Children get their place in the queue.
func (w *writer) checkNew(tasks []*task.Task, group task.ID) (refused, err error) {
	if refused, err = w.checkKeys(tasks); refused != nil || err != nil {
		return refused, err
	}
	if refused, err = w.checkGroups(tasks, group); refused != nil || err != nil {
		return refused, err
	}
	if refused, err = w.checkParents(tasks); refused != nil || err != nil {
		return refused, err
	}
	w.holdBack(tasks)
	if refused = w.checkQueues(tasks); refused != nil {
		return refused, nil
	}
	return w.checkBytes(tasks)
}

// checkQueues refuses tasks that would overfill the queue of their type, or have more of an
// owner's wait than may.
func (w *writer) checkQueues(tasks []*task.Task) error {
	var ofType, ofOwner map[string]int64 // that would come
	for _, t := range tasks {
		quota, _ := w.lanes.WaitingQuota(t.Type, t.Owner)
		if t.QueueLimit <= 0 && quota.Waiting <= 0 || t.State != task.Pending || t.Waiting == task.WaitDispatched || !t.Existing().IsZero() {
			continue
		}
		coming := int64(1)
		if t.OnConflict != nil && t.OnConflict.Freed {
			coming = 0
		}
		if quota.Waiting > 0 {
			ofOwner = plus(ofOwner, t.Owner, coming)
		}
		if t.QueueLimit <= 0 {
			continue
		}
		ofType = plus(ofType, t.Type, coming)
		if waiting := w.lanes.Waiting(t.Type); waiting+ofType[t.Type] > t.QueueLimit {
			return &task.Error{Code: task.CodeQueueFull, RetryAfter: 5 * time.Second,
				Message: fmt.Sprintf("%d tasks of type %q wait already, the queue_limit is %d; try again later", waiting, t.Type, t.QueueLimit)}
		}
	}
	for owner, coming := range ofOwner {
		quota, waiting := w.lanes.WaitingQuota("", owner)
		if refused := quota.CheckWaiting(owner, waiting, coming); refused != nil {
			return refused
		}
	}
	return nil
}

// plus is m with n more of that name.
func plus(m map[string]int64, name string, n int64) map[string]int64 {
	if m == nil {
		m = map[string]int64{}
	}
	m[name] += n
	return m
}

// insertAtOnce is how many rows one statement inserts where there are as many plain ones, and
// how many inputs.
const insertAtOnce = 10

// insertAll writes new tasks that checkNew has passed, but for those whose key another has
// that is to stay.
func (w *writer) insertAll(tasks []*task.Task, rows []insertRow) error {
	for at := 0; at < len(tasks); {
		n := 1
		if last := at + insertAtOnce; last <= len(tasks) && !slices.ContainsFunc(tasks[at:last], w.goesAlone) {
			n = insertAtOnce
		}
		if tasks[at].Existing().IsZero() {
			if err := w.takeKey(tasks[at]); err != nil {
				return err
			}
			if err := w.insert(tasks[at:at+n], rows[at:at+n]); err != nil {
				return err
			}
		}
		at += n
	}
	return w.insertInputs(tasks, rows)
}

// goesAlone says that a new task is inserted by a statement of its own, after all that those
// before it do: takes another's key, counts against limits at once.
func (w *writer) goesAlone(t *task.Task) bool {
	return t.OnConflict != nil || t.CreatedBy != "" || !t.Parent.IsZero() ||
		lane.CounterOf(t.State, t.Waiting) == lane.Active && w.lanes.Limited(t.Type)
}

// insert writes one new task, or insertAtOnce of which none goes alone. Its first statement
// that writes tasks is the only one that can fail by their own fault.
func (w *writer) insert(tasks []*task.Task, rows []insertRow) error {
	for i, t := range tasks {
		if err := w.placeNew(t, &rows[i]); err != nil {
			return err
		}
	}
	if err := w.bindNew(tasks, rows, len(tasks) == insertAtOnce && areAlike(tasks, rows)).run(); err != nil {
		return err
	}
	for i, t := range tasks {
		if err := w.inserted(t, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// placeNew gives a new task its lane, its order key, and its places in the queues of its resources.
func (w *writer) placeNew(t *task.Task, r *insertRow) (err error) {
	r.lane.Child = t.Place != 0
	if t.State == task.Pending && t.Waiting == task.WaitQueued {
		r.lane.Values = w.lanes.FullValues(t, "")
	}
	if r.in, err = w.lane(r.lane); err != nil {
		return err
	}
	w.lastSeq++
	r.seq = w.lastSeq
	if t.State == task.Pending && (t.Waiting == task.WaitQueued || t.Waiting == task.WaitResource) {
		t.Waiting, err = w.claimResources(t, r.seq, micros(t.CreatedAt))
	}
	return err
}

// inserted writes what a new task has beside its row and its input, and counts it.
func (w *writer) inserted(t *task.Task, r *insertRow) error {
	if w.feed.recording || t.CreatedBy != "" { // by whom no row tells
		e := creation(t)
		e.To = t.State
		e.Attempt = t.Attempt
		w.feed.note(r.seq, t.Version, t, &e)
		if t.CreatedBy != "" {
			if err := w.event(r.seq, e.Seq, &e); err != nil {
				return err
			}
		}
	}
	if t.Key != "" {
		st := w.st.keyInsert
		st.bind().value(t.Owner).value(t.Type).value(t.Key).int(r.seq)
		if err := st.run(); err != nil {
			return err
		}
	}
	if len(t.Checkpoint) > 0 {
		if err := w.setDetail(w.st.detailCheckpoint, r.seq, t.Checkpoint); err != nil {
			return err
		}
	}
	if err := w.moved(t, task.None, t.State, micros(t.CreatedAt)); err != nil {
		return err
	}
	return w.countNew(r.in, r, t)
}

// countNew counts a new task in its lane.
func (w *writer) countNew(n *lane.Lane, r *insertRow, t *task.Task) error {
	counter := lane.CounterOf(t.State, t.Waiting)
	if counter == lane.Ready || t.Waiting == task.WaitResource {
		w.ready.inserted(t, r)
	}
	w.lanes.Move(n, lane.Uncounted, n, counter)
	w.lanes.MoveReason(n, task.WaitNone, n, t.Waiting)
	switch counter {
	case lane.Ready:
		n.Window.Add(entryOf(int64(t.Priority), t.Place, r.seq))
	case lane.Active:
		w.lanes.Hold(r.seq, n, t)
		return w.enterFlight(r.seq)
	}
	return nil
}

// event appends to a task's history; n is the task's version after it.
func (w *writer) event(seq, n int64, e *task.Event) error {
	by := e.By
	if by == task.ByHost {
		by = ""
	}
	st := w.st.historyInsert
	st.bind().int(seq).int(n).int(micros(e.At)).int(int64(e.From)).int(int64(e.To)).int(int64(e.Attempt)).text(by).text(e.Message)
	return st.run()
}
