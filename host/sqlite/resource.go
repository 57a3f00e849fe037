package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlClaimLast    = `SELECT place FROM resource_claim WHERE by_name = 1 AND name = ? AND owner = ? ORDER BY place DESC LIMIT 1`
	sqlHolders      = `SELECT place, mode, held FROM resource_claim WHERE by_name = 1 AND name = ? AND owner = ? ORDER BY place`
	sqlWaiters      = `SELECT place, task, mode FROM resource_claim WHERE by_name = 1 AND name = ? AND owner = ? AND place > ? ORDER BY place LIMIT +?`
	sqlClaimsOfTask = `SELECT owner, name, place, held FROM resource_claim WHERE by_name = +? AND task = ?`
	sqlClaimInsert  = `INSERT INTO resource_claim (by_name, task, owner, name, place, mode, held, since) VALUES `
	sqlClaimRow     = `(?, ?, ?, ?, ?, ?, ?, ?)`
	sqlClaimGrant   = `UPDATE resource_claim SET held = 1, since = ? WHERE by_name = +? AND task = ? AND name = ?`
	sqlClaimsGrant  = `UPDATE resource_claim SET held = 1, since = ? WHERE by_name = +? AND task BETWEEN ? AND ?`
	sqlClaimsDelete = `DELETE FROM resource_claim WHERE by_name = +? AND task BETWEEN ? AND ?`
	sqlClaimsName   = `UPDATE resource_claim SET by_name = 1 WHERE by_name = 0`
)

// claimsAtOnce is how many claims of new tasks one statement inserts.
const claimsAtOnce = 10

// resourcesDocument is the resources of a task as they are stored; "" for none.
func resourcesDocument(r *task.Resources) string {
	if r.None() {
		return ""
	}
	if len(r.Exclusive) == 1 && len(r.Shared) == 0 && !strings.ContainsFunc(r.Exclusive[0], isEscaped) {
		return beforeExclusive + r.Exclusive[0] + afterExclusive
	}
	b, _ := json.Marshal(r) // lists of strings always marshal
	return string(b)
}

// The commonest of these documents, which is written and read often, is the one name that a task
// needs for itself between these.
const beforeExclusive, afterExclusive = `{"exclusive":["`, `"]}`

// isEscaped says that a character may be written otherwise in JSON.
func isEscaped(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune(`"\<>&`, c) }

// oneExclusive is the name in the commonest document; false for any other.
func oneExclusive(document []byte) (name string, ok bool) {
	if len(document) < len(beforeExclusive)+len(afterExclusive) || string(document[:len(beforeExclusive)]) != beforeExclusive {
		return "", false
	}
	rest := document[len(beforeExclusive):]
	end := len(rest) - len(afterExclusive)
	return string(rest[:end]), bytes.IndexAny(rest, `"\`) == end && string(rest[end:]) == afterExclusive
}

// newClaim is a claim that is not in the table yet.
type newClaim struct {
	resourceName
	task, place int64
	mode        resource.Mode
	held        bool
	byName      bool // it is to be found by its name: resourceQueue says which others need not be
	since       int64
}

// waitForResources is why a ready task waits: until it has its resources, in whose queues it
// is from now on, if it is not yet.
func (w *writer) waitForResources(t *task.Task, seq, at int64) (task.Waiting, error) {
	if t.Resources.None() {
		return task.WaitQueued, nil
	}
	claims, err := w.claimsOf(seq)
	if err != nil {
		return task.WaitNone, err
	}
	if len(claims) == 0 {
		return w.claimResources(t, seq, at)
	}
	if slices.ContainsFunc(claims, claimRow.waits) {
		return task.WaitResource, nil
	}
	return task.WaitQueued, nil
}

// claimResources has a task that is in no queue yet join those of its resources, and says why
// it waits then.
func (w *writer) claimResources(t *task.Task, seq, at int64) (task.Waiting, error) {
	waiting := task.WaitQueued
	for _, m := range [...]struct {
		mode  resource.Mode
		names []string
	}{{resource.Exclusive, t.Resources.Exclusive}, {resource.Shared, t.Resources.Shared}} {
		for _, name := range m.names {
			c := newClaim{resourceName: resourceName{t.Owner, name}, task: seq, mode: m.mode, since: at}
			if err := w.claimResource(&c); err != nil {
				return task.WaitNone, err
			}
			if !c.held {
				waiting = task.WaitResource
			}
			w.resources.coming = append(w.resources.coming, c)
		}
	}
	return waiting, nil
}

// claimResource gives a claim its place at the end of its queue, and has it hold the resource
// at once if it may: nobody else waits then.
func (w *writer) claimResource(c *newClaim) error {
	q, err := w.queueOf(c.resourceName)
	if err != nil {
		return err
	}
	fits := resource.Fits(q.holders, q.mode, c.mode)
	if fits && q.last > q.holder {
		if err := w.readWaiters(c.resourceName, q); err != nil {
			return err
		}
	}
	c.held = fits && q.last == q.holder
	c.place = q.last + 1
	// Who shares a name may end before others that do, so those are not told apart in memory.
	known := c.mode == resource.Exclusive && (c.held || q.keepsNext())
	c.byName = !known || !w.resources.keep(q)
	if c.held {
		q.hold(c)
	} else {
		q.join(c)
	}
	q.last = c.place
	return nil
}

// queueOf is the queue of a name, which the transaction may change, read from the table if it is not kept.
func (w *writer) queueOf(name resourceName) (*resourceQueue, error) {
	if q := w.resources.queues[name]; q != nil {
		w.resources.change(name, q)
		return q, nil
	}
	if err := w.writeClaims(); err != nil {
		return nil, err
	}
	q := &resourceQueue{}
	st := w.st.claimLast
	st.bind().value(name.name).value(name.owner)
	found, err := st.one()
	if err != nil {
		return nil, err
	}
	if found {
		q.last = st.row.int(0)
		st = w.st.holders
		st.bind().value(name.name).value(name.owner)
		err = st.each(func(r row) bool {
			if r.int(2) == 0 {
				return false
			}
			q.holders++
			q.holder = r.int(0)
			q.mode = resource.Mode(r.int(1))
			return true
		})
	}
	if err != nil {
		return nil, err
	}
	if w.resources.queues == nil {
		w.resources.queues = map[resourceName]*resourceQueue{}
	}
	w.resources.queues[name] = q
	w.resources.change(name, q)
	return q, nil
}

// readWaiters reads the first that wait for a name, unless some are kept.
func (w *writer) readWaiters(name resourceName, q *resourceQueue) error {
	switch {
	case len(q.waiters) > 0:
		return nil
	case q.all: // those who waited have left
		q.last = q.holder
		return nil
	}
	if err := w.writeClaims(); err != nil {
		return err
	}
	q.waiters = nil
	q.modes = nil
	st := w.st.waiters
	st.bind().value(name.name).value(name.owner).int(q.holder).int(waitersKept)
	err := st.each(func(r row) bool {
		q.waiters = append(q.waiters, waiter{place: r.int(0), task: r.int(1)})
		q.modes = append(q.modes, resource.Mode(r.int(2)))
		return true
	})
	if err != nil {
		return err
	}
	if q.all = len(q.waiters) < waitersKept; len(q.waiters) == 0 {
		q.last = q.holder
	}
	return nil
}

// claimRow is a claim of a task as it is in the table.
type claimRow struct {
	resourceName
	place  int64
	held   bool
	byName int64 // 1 if it is found by its name; otherwise 0
}

func (c claimRow) waits() bool { return !c.held }

func (w *writer) claimsOf(seq int64) (claims []claimRow, err error) {
	if err := w.writeClaims(); err != nil {
		return nil, err
	}
	st := w.st.claimsOfTask
	for byName := range int64(2) { // together they would make a temporary tree
		st.bind().int(byName).int(seq)
		if err := st.each(func(r row) bool {
			claims = append(claims, claimRow{resourceName: resourceName{r.text(0), r.text(1)}, place: r.int(2), held: r.int(3) == 1, byName: byName})
			return true
		}); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// releaseResources gives back what a task holds or waits for that is final now, and was in
// state from before. The commit gives it on.
func (w *writer) releaseResources(t *task.Task, from task.State, at int64) error {
	if !from.Active() {
		return w.leaveQueues(t, at)
	}
	for _, names := range [...][]string{t.Resources.Exclusive, t.Resources.Shared} { // of which an attempt holds all
		for _, name := range names {
			n := resourceName{t.Owner, name}
			q, err := w.queueOf(n)
			if err != nil {
				return err
			}
			w.resources.end(t.Seq, w.letGoOf(n, q, at))
		}
	}
	return nil
}

// letGoOf counts a holder less, and says by 1 that its claim is found by its name, or 0.
func (w *writer) letGoOf(name resourceName, q *resourceQueue, at int64) (byName int64) {
	byName = 1
	if q.keptHolder != 0 {
		byName = 0
		q.keptHolder = 0
		w.resources.forget(q)
	}
	q.holders = max(q.holders-1, 0)
	if q.holders == 0 && q.last > q.holder { // others that hold it share it, and whoever might do so too does already
		w.resources.free(name, q, at)
	}
	return byName
}

// leaveQueues is releaseResources for a task that no attempt holds: it may have some of its
// resources, and wait for others.
func (w *writer) leaveQueues(t *task.Task, at int64) error {
	claims, err := w.claimsOf(t.Seq)
	if err != nil {
		return err
	}
	for _, c := range claims {
		q, err := w.queueOf(c.resourceName)
		if err != nil {
			return err
		}
		w.resources.end(t.Seq, c.byName)
		if c.held {
			w.letGoOf(c.resourceName, q, at)
			continue
		}
		q.leave(c.place)
		if c.byName == 0 {
			w.resources.forget(q)
		}
		w.resources.free(c.resourceName, q, at) // it may have held back others
	}
	return nil
}

// writeClaims brings the table up to date with what the transaction has done to claims so far,
// a run of tasks by one statement. Whatever reads the table calls it before. No task both
// comes to the queues and leaves them in between: who leaves is read first, or runs.
func (w *writer) writeClaims() error {
	q := &w.resources
	for byName, ended := range q.ended {
		slices.Sort(ended)
		if err := eachRun(ended, func(first, last int64) error {
			w.st.claimsDelete.bind().int(int64(byName)).int(first).int(last)
			return w.st.claimsDelete.run()
		}); err != nil {
			return err
		}
		q.ended[byName] = ended[:0]
	}
	for coming := q.coming; len(coming) > 0; {
		st := w.st.claimInsert
		n := 1
		if len(coming) >= claimsAtOnce {
			st = w.st.claimsInsert
			n = claimsAtOnce
		}
		a := st.bind()
		for _, c := range coming[:n] {
			a.int(flag(c.byName)).int(c.task).value(c.owner).value(c.name).int(c.place).int(int64(c.mode)).int(flag(c.held)).int(c.since)
		}
		if err := st.run(); err != nil {
			return err
		}
		coming = coming[n:]
	}
	q.coming = q.coming[:0]
	return nil
}

// nameClaims has all claims found by their names, of which the writer knows none yet.
func (w *writer) nameClaims() error {
	t := &ticket{op: &guardedOp{do: func(w *writer) (refused, err error) { return nil, w.query(sqlClaimsName, 0, nil, nil) }}}
	w.write([]*ticket{t})
	return t.err
}

// eachRun calls f with the first and the last of each run of numbers that follow one another.
func eachRun(sorted []int64, f func(first, last int64) error) error {
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n] == sorted[n-1]+1 {
			n++
		}
		if err := f(sorted[0], sorted[n-1]); err != nil {
			return err
		}
		sorted = sorted[n:]
	}
	return nil
}

// Grant implements resource.Store.
func (s *Store) Grant(ctx context.Context, used task.Signal, now time.Time) error {
	return s.guarded(ctx, groupRows, func(w *writer) (refused, err error) {
		if refused, err = w.checkSignal(used); refused != nil || err != nil {
			return refused, err
		}
		name := resourceName{used.Owner, used.Name}
		q, err := w.queueOf(name)
		if err != nil {
			return nil, err
		}
		w.resources.free(name, q, micros(now))
		return nil, w.useSignal(used)
	})
}
