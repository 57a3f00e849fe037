package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Delete implements task.Ledger.
func (s *Store) Delete(ctx context.Context, scope task.Scope, id task.ID) error {
	t, err := s.Get(ctx, scope, id)
	if err != nil {
		return err
	}
	o := &deleteOp{seqs: []int64{t.Seq}}
	if err := s.w.do(ctx, o); err != nil {
		return err
	}
	if len(o.gone) == 0 && o.found && o.state.Final() {
		return task.Errorf(task.CodeNotFinal, "task %s is a child of task %s, which is not final and may ask for it again", id, t.Parent)
	}
	if len(o.gone) == 0 && o.found {
		return task.Errorf(task.CodeNotFinal, "task %s is %s: cancel it first, or wait until it is done", id, o.state)
	}
	if len(o.gone) == 0 {
		return notFound(id)
	}
	return nil
}

// DeleteExpired implements task.Ledger. It looks through order keys from the oldest and
// starts over when it came to the end, expiryScanRows rows a call. Those that stay never leave SQLite:
// to read a row costs four times what it takes to pass it by.
func (s *Store) DeleteExpired(ctx context.Context, now time.Time, limit int) (gone []task.ID, more bool, err error) {
	s.expiryMu.Lock()
	defer s.expiryMu.Unlock()
	o := &deleteOp{expired: micros(now), forget: keptFrom(now), limit: limit}
	end := int64(math.MaxInt64)
	err = s.rows(ctx, sqlExpiryEnd, []any{s.expiryScanned, expiryScanRows - 1}, 1, func(r row) bool {
		end = r.int(0)
		more = true
		return false
	})
	if err == nil {
		err = s.rows(ctx, sqlScanExpiry, []any{s.expiryScanned, end, o.expired, limit}, 1, func(r row) bool {
			o.seqs = append(o.seqs, r.int(0))
			return true
		})
	}
	if err != nil {
		return nil, false, err
	}
	if n := len(o.seqs); n >= limit {
		end = o.seqs[n-1]
		more = true
	}
	if len(o.seqs) > 0 || !more {
		if err := s.w.do(ctx, o); err != nil {
			return nil, false, err
		}
	}
	if o.looked < len(o.seqs) {
		end = o.seqs[o.looked-1]
		more = true
	}
	more = more || o.forgot == int64(limit)
	s.expiryScanned = end
	if !more {
		s.expiryScanned = 0
	}
	return o.gone, more, nil
}

const (
	expiryScanRows = 10_000
	// expiryRows bounds what one operation removes that is not of a row a task, as long logs: it
	// leaves the tasks behind the one with which it comes to it.
	expiryRows   = 5000
	sqlExpiryEnd = `SELECT seq FROM task WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET +?`
)

var sqlScanExpiry = named(`SELECT seq FROM task WHERE seq > ? AND seq <= ? AND state >= {succeeded} AND expires_at <= ? ORDER BY seq LIMIT +?`)

// deleteOp removes those of the tasks that are final (and, if expired is set,
// kept long enough), with all that belongs to them. A child stays until its parent is final.
type deleteOp struct {
	seqs    []int64
	expired int64
	forget  int64 // idempotency keys from before it
	limit   int   // of those

	looked  int   // at so many of the tasks: see expiryRows
	removed int64 // rows of histories and logs
	forgot  int64 // idempotency keys
	gone    []task.ID
	found   bool
	state   task.State
}

func (o *deleteOp) size() (rows, bytes int) { return 4 * len(o.seqs), 0 }

func (o *deleteOp) run(w *writer) error {
	o.gone, o.found = o.gone[:0], false
	o.looked, o.removed, o.forgot = 0, 0, 0
	for _, seq := range o.seqs {
		if o.removed >= expiryRows {
			break
		}
		o.looked++
		st := w.st.deletable
		st.bind().int(seq)
		found, err := st.one()
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		o.found, o.state = true, task.State(st.row.int(0))
		if !o.state.Final() || o.expired != 0 && st.row.int(5) > o.expired {
			continue
		}
		var id, parent task.ID
		copy(id[:], st.row.blob(6))
		copy(parent[:], st.row.blob(7))
		if needed, err := w.neededByParent(parent); needed || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := w.recordSeqs(seq); err != nil {
			return err
		}
		w.feed.noteOther(task.FeedChange{Seq: seq, ID: id, Owner: st.row.text(2), State: o.state, Deleted: true})
		removed, err := w.remove(seq, st.row.text(1), st.row.text(2), st.row.text(3))
		if err != nil {
			return err
		}
		o.removed += removed
		o.gone = append(o.gone, id)
	}
	w.wrote(o.removed)
	if o.forget == 0 {
		return nil
	}
	w.st.offerExpire.bind().int(o.expired)
	if err := w.st.offerExpire.run(); err != nil {
		return err
	}
	w.st.idemExpire.bind().int(o.forget).int(int64(o.limit))
	var err error
	o.forgot, err = w.st.idemExpire.changed()
	w.wrote(o.forgot)
	return err
}

// wrote counts rows that an operation wrote and could not say before.
func (w *writer) wrote(rows int64) {
	w.groupSize += int(rows)
	w.walBytes += int(rows) * rowBytes
}

// recordSeqs puts on record that the order key was given, before its row goes: a
// key is never given twice. All that were given so far go on record at once, so
// that only the first of them to be deleted costs a write.
func (w *writer) recordSeqs(seq int64) error {
	if seq <= w.seqOnRecord {
		return nil
	}
	st := w.st.seqRecord
	st.bind().int(w.lastSeq)
	if err := st.run(); err != nil {
		return err
	}
	w.seqOnRecord = w.lastSeq
	return nil
}

// remove removes a task with all that belongs to it, and says of how many rows its history and its
// log were.
func (w *writer) remove(seq int64, key, owner, typ string) (rows int64, err error) {
	if key != "" {
		w.st.keyDelete.bind().value(owner).value(typ).value(key)
		if err := w.st.keyDelete.run(); err != nil {
			return 0, err
		}
	}
	for _, st := range []*stmt{w.st.historyDelete, w.st.logDelete} {
		st.bind().int(seq)
		n, err := st.changed()
		if err != nil {
			return 0, err
		}
		rows += n
	}
	for _, st := range []*stmt{w.st.inputDelete, w.st.resultDelete, w.st.detailDelete, w.st.taskDelete} {
		st.bind().int(seq)
		if err := st.run(); err != nil {
			return 0, err
		}
	}
	return rows, nil
}

func notFound(id task.ID) error {
	return task.Errorf(task.CodeNotFound, "there is no task %s", id)
}
