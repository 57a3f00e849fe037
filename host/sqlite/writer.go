package sqlite

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// groupRows bounds a group: operations are taken until they may write so many
// rows. One operation may be larger, and is then a group of its own.
const groupRows = 2000

// checkpointBytes is about how much is written before the writer carries the
// write-ahead log over into the store. Between groups, so nobody's commit has it inside.
const checkpointBytes = 16 << 20

// op is an operation on the store: the writer's unit of success and failure.
type op interface {
	// rows is about how many rows it writes, bytes how many payload bytes.
	size() (rows, bytes int)
	// run does it, in the open transaction. It may be run again after a rollback,
	// and answers nothing before the commit: what it has to say it keeps in itself. A
	// guard that does not hold is an answer, not an error. An error undoes the
	// whole transaction: of the operation alone if it is its own fault, of the
	// whole group if the store's.
	run(w *writer) error
}

// guardedOp is an operation that may find what it is about to be otherwise than whoever asked
// for it knew: do says why it is refused then.
type guardedOp struct {
	rows    int
	do      func(w *writer) (refused, err error)
	refused error
}

func (o *guardedOp) size() (rows, bytes int) { return o.rows, 0 }

func (o *guardedOp) run(w *writer) (err error) {
	o.refused, err = o.do(w)
	return err
}

// guarded has the writer do an operation that writes about so many rows, once.
func (s *Store) guarded(ctx context.Context, rows int, do func(w *writer) (refused, err error)) error {
	o := &guardedOp{rows: rows, do: do}
	if err := s.w.do(ctx, o); err != nil {
		return err
	}
	return o.refused
}

// ticket is an operation's place in the queue.
type ticket struct {
	op    op
	state atomic.Int32  // ticketQueued, then ticketTaken or ticketWithdrawn
	done  chan struct{} // gets one signal, and the ticket is its owner's again
	err   error
}

// tickets are those that nobody uses now.
var tickets = sync.Pool{New: func() any { return &ticket{done: make(chan struct{}, 1)} }}

const (
	ticketQueued = iota
	ticketTaken
	ticketWithdrawn
)

// writer owns the write connection and all that is derived from what it writes. One
// goroutine, loop, takes what has queued while the last group was being written, runs
// it in one transaction, commits and answers: the fsync is the batching window, so no
// timer delays anyone. Anyone may call do; every other method, and every field above
// mu, is that goroutine's. What it keeps in memory agrees with the tables whenever no
// transaction is open: commit and undo bring both on together.
type writer struct {
	conn  *sqlite3.SQLiteConn
	st    statements
	fatal func(error) // see Options.Fatal

	lanes     *lane.Set
	lastLane  int64        // the id of table lane given last
	batch     []lane.Entry // for readReady
	inFlight  inFlightBlocks
	uploads   uploads
	ready     readyTasks
	groups    groupMoves
	resources resourceQueues
	feed      *feed      // nil until the store is identified
	row       taskRow    // of the insert or update that is being bound
	inputs    []newInput // of the open transaction: see insertInputs
	run       run        // room for one
	each      []byte     // what each task of a run has of its own, likewise
	lastSeq   int64      // the order key given last
	// seqOnRecord is up to where table meta says that order keys were given: those of
	// rows that were deleted are at most this. seqCommitted is what of it is committed.
	seqOnRecord  int64
	seqCommitted int64
	dropLanes    []*dropLanesOp // of the open transaction
	marker       *marker        // of the lock file; nil until the store is identified
	groupSize    int            // about how many rows the group writes
	walBytes     int            // about how much was written since the last checkpoint

	mu      sync.Mutex
	queue   []*ticket
	closing bool
	dead    error         // set once the store can't be written any more
	wake    chan struct{} // the queue has something, or closing is set
	ended   chan struct{} // closed when loop has returned
}

// do has the writer run o and returns once it is on disk. If ctx ends while o
// still queues it is withdrawn; once it is taken, do waits for the answer, so that
// nobody is told of a failure that did not happen.
func (w *writer) do(ctx context.Context, o op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := tickets.Get().(*ticket)
	t.op = o
	if err := w.enqueue(t); err != nil {
		return err
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		if t.state.CompareAndSwap(ticketQueued, ticketWithdrawn) {
			return ctx.Err() // the queue has the ticket still
		}
		<-t.done
	}
	err := t.err
	t.op = nil
	t.err = nil
	t.state.Store(ticketQueued)
	tickets.Put(t)
	return err
}

func (w *writer) enqueue(t *ticket) error {
	w.mu.Lock()
	err := w.closed()
	if err == nil {
		w.queue = append(w.queue, t)
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// unusable says why nothing can be written any more; nil if it can.
func (w *writer) unusable() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed()
}

// closed is unusable for who has mu locked.
func (w *writer) closed() error {
	if !w.closing && w.dead == nil {
		return nil
	}
	return &task.Error{Code: task.CodeStoreUnavailable, Message: "the store is closed", Cause: w.dead}
}

// loop is the writer's goroutine.
func (w *writer) loop() {
	defer close(w.ended)
	var group []*ticket
	for {
		w.groupSize = 0
		group = w.take(group[:0])
		if len(group) == 0 {
			w.mu.Lock()
			stop := w.closing && len(w.queue) == 0
			w.mu.Unlock()
			if stop {
				return
			}
			<-w.wake
			continue
		}
		group = w.write(group)
		for i, t := range group {
			group[i] = nil
			t.done <- struct{}{}
		}
		w.checkpoint()
	}
}

// take moves what is queued into the group, as far as its bound allows.
func (w *writer) take(group []*ticket) []*ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, t := range w.queue {
		rows, bytes := t.op.size()
		if w.groupSize > 0 && w.groupSize+rows > groupRows {
			break
		}
		n++
		if !t.state.CompareAndSwap(ticketQueued, ticketTaken) {
			continue
		}
		w.groupSize += rows
		w.walBytes += rows*rowBytes + bytes
		group = append(group, t)
	}
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	return group
}

// grow takes into the group what came while it ran. If there is nothing it lets
// run whoever was just answered and is about to ask again: or else every other
// group would be of one. With 64 clients that is a factor of two; when nobody
// else can run it returns at once.
func (w *writer) grow(group []*ticket) []*ticket {
	before := len(group)
	if group = w.take(group); len(group) == before && w.groupSize < groupRows {
		runtime.Gosched()
		group = w.take(group)
	}
	return group
}

// errRunAgain is an operation that has set its own fault aside: the group is to
// be run again.
var errRunAgain = errors.New("run the group again")

// rowBytes is about what a row costs in the write-ahead log.
const rowBytes = 256

// write runs the group, and what comes meanwhile, in one transaction. It returns
// all that it took, each ticket with its err.
func (w *writer) write(group []*ticket) []*ticket {
	if w.dead != nil {
		failAll(group, w.dead)
		return group
	}
	group, culprit, err := w.attempt(group, true)
	for live := group; err != nil; {
		w.undo()
		switch {
		case err == errRunAgain:
		case culprit < 0 || !isConstraint(err):
			failAll(live, w.storeError(err, culprit < 0))
			return group
		default:
			// One operation breaks a rule of the schema: it fails, the others run again.
			live[culprit].err = constraintError(err)
			live = slices.Concat(live[:culprit], live[culprit+1:])
		}
		if w.dead != nil {
			failAll(live, w.dead)
			return group
		}
		_, culprit, err = w.attempt(live, false)
	}
	return group
}

func failAll(ts []*ticket, err error) {
	for _, t := range ts {
		t.err = err
	}
}

// attempt runs the operations in a transaction and commits. It gives back the
// group, grown if growing says that it may, and culprit, the operation that
// failed: -1 if the transaction itself did.
func (w *writer) attempt(group []*ticket, growing bool) (_ []*ticket, culprit int, err error) {
	if err := w.st.begin.run(); err != nil {
		return group, -1, err
	}
	w.feed.begin()
	for i := 0; ; i++ {
		if i == len(group) && growing {
			group = w.grow(group)
		}
		if i == len(group) {
			break
		}
		if _, insert := group[i].op.(*insertOp); !insert {
			if err := w.flushInputs(); err != nil {
				return group, i, err
			}
		}
		if err := group[i].op.run(w); err != nil {
			return group, i, err
		}
	}
	return group, -1, w.commit()
}

func (w *writer) commit() error {
	if err := w.flushInputs(); err != nil {
		return err
	}
	if err := w.sweepBlocks(); err != nil {
		return err
	}
	if err := w.writeGroups(); err != nil {
		return err
	}
	if err := w.grantResources(); err != nil {
		return err
	}
	if err := w.writeRates(); err != nil {
		return err
	}
	if err := w.markFeed(); err != nil {
		return err
	}
	if err := w.marker.commit(w); err != nil {
		return err
	}
	if err := w.st.commit.run(); err != nil {
		return err
	}
	w.marker.committed(w.groupSize)
	w.lanes.Commit()
	w.inFlight.commit()
	w.uploads.commit()
	w.ready.committed()
	w.groups.clear()
	w.resources.committed()
	w.feed.commit()
	w.seqCommitted = w.seqOnRecord
	for _, o := range w.dropLanes {
		o.n = w.lanes.DropEmpty()
	}
	w.dropLanes = w.dropLanes[:0]
	return nil
}

// undo brings memory and transaction back to where the group began. An error
// may have rolled the transaction back already.
func (w *writer) undo() {
	if !w.conn.AutoCommit() {
		if err := w.st.rollback.run(); err != nil && !w.conn.AutoCommit() {
			w.die(err)
		}
	}
	w.forgetInputs()
	w.lanes.Rollback()
	w.inFlight.rollback()
	w.uploads.rollback()
	w.ready.rollback()
	w.groups.clear()
	w.resources.rollback()
	w.seqOnRecord = w.seqCommitted
	w.dropLanes = w.dropLanes[:0]
}

// die ends all writing: what is on disk is unknown.
func (w *writer) die(err error) {
	w.mu.Lock()
	w.dead = &task.Error{Code: task.CodeStoreUnavailable, Message: "the store failed and must be opened anew", Cause: err}
	w.mu.Unlock()
	w.fatal(err)
}

// checkpoint carries the log over once enough has been written. It waits for
// nobody; what a long read keeps back is carried over the next time.
func (w *writer) checkpoint() {
	if w.walBytes < checkpointBytes || w.dead != nil {
		return
	}
	w.walBytes = 0
	_, err := w.st.checkpoint.one()
	if err != nil && isFsync(err) {
		w.die(err)
	}
	if err == nil && w.marker != nil && carriedOver(w.st.checkpoint.row) {
		w.marker.due = true
	}
}

// stop lets the queue run empty and ends the goroutine.
func (w *writer) stop() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	<-w.ended
}
