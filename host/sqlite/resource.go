package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlClaimLast    = `SELECT place FROM resource_claim WHERE name = ? AND owner = ? ORDER BY place DESC LIMIT 1`
	sqlHolders      = `SELECT place, mode, held FROM resource_claim WHERE name = ? AND owner = ? ORDER BY place`
	sqlWaiters      = `SELECT place, task, mode FROM resource_claim WHERE name = ? AND owner = ? AND place > ? ORDER BY place LIMIT +?`
	sqlClaimsOfTask = `SELECT owner, name, place, held FROM resource_claim WHERE task = ?`
	sqlClaimMissing = `SELECT 1 FROM resource_claim WHERE task = ? AND held = 0 LIMIT 1`
	sqlClaimInsert  = `INSERT INTO resource_claim (task, owner, name, place, mode, held, since) VALUES `
	sqlClaimRow     = `(?, ?, ?, ?, ?, ?, ?)`
	sqlClaimGrant   = `UPDATE resource_claim SET held = 1, since = ? WHERE task = ? AND name = ?`
	sqlClaimsGrant  = `UPDATE resource_claim SET held = 1, since = ? WHERE task BETWEEN ? AND ?`
	sqlClaimsDelete = `DELETE FROM resource_claim WHERE task BETWEEN ? AND ?`
)

const (
	queuesKept   = 1 << 13 // of names: 10 MiB at the most
	waitersKept  = 64      // of one queue
	claimsAtOnce = 10      // of new tasks, that one statement inserts
)

// resourcesDocument is the resources of a task as they are stored; "" for none.
func resourcesDocument(r *task.Resources) string {
	if r.None() {
		return ""
	}
	b, _ := json.Marshal(r) // lists of strings always marshal
	return string(b)
}

// oneExclusive is the name in the commonest of these documents, which is read often; false for
// any other.
func oneExclusive(document []byte) (name string, ok bool) {
	const before, after = `{"exclusive":["`, `"]}`
	if len(document) < len(before)+len(after) || string(document[:len(before)]) != before {
		return "", false
	}
	rest := document[len(before):]
	return string(rest[:len(rest)-len(after)]), bytes.IndexAny(rest, `"\`) == len(rest)-len(after) && string(rest[len(rest)-len(after):]) == after
}

// resourceName is a resource: names are their owner's.
type resourceName struct{ owner, name string }

// resourceQueue is what the writer keeps of the queue of one name. Whoever holds it are the
// first, up to a place, and whoever has a later one waits.
type resourceQueue struct {
	last    int64         // the place given last: later than the last holder's exactly if somebody waits
	holders int64         // how many hold it
	holder  int64         // the place of the last that got it
	mode    resource.Mode // in which it is held
	// The first that wait, as far as they were read or came since all are there, and how each is to have it.
	waiters []waiter
	modes   []resource.Mode
	all     bool // those are all that wait
	freed   bool // it is among those that the commit looks at
}

type waiter struct{ place, task int64 }

// newClaim is a claim that is not in the table yet.
type newClaim struct {
	resourceName
	task, place int64
	mode        resource.Mode
	held        bool
	since       int64
}

// resourceQueues is what the writer knows of resources: of the queues of names that are in
// use, a cache that a rollback empties; and what the open transaction is still to do.
type resourceQueues struct {
	queues map[resourceName]*resourceQueue
	freed  []resourceName // that the next may have now
	at     int64          // when that came to be
	ended  []int64        // order keys of tasks whose claims are to be deleted
	coming []newClaim     // that are to be inserted
}

// committed is called after the commit.
func (q *resourceQueues) committed() {
	if len(q.queues) > queuesKept {
		clear(q.queues)
	}
}

// rollback is called instead: the rows are as they were before.
func (q *resourceQueues) rollback() {
	clear(q.queues)
	q.freed = q.freed[:0]
	q.ended = q.ended[:0]
	q.coming = q.coming[:0]
}

// free has the commit look whether the next may have a resource.
func (q *resourceQueues) free(name resourceName, of *resourceQueue, at int64) {
	q.at = max(q.at, at)
	if !of.freed {
		of.freed = true
		q.freed = append(q.freed, name)
	}
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
	if slices.ContainsFunc(claims, func(c claimRow) bool { return !c.held }) {
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
	if c.held {
		q.holders++
		q.holder = c.place
		q.mode = c.mode
	} else {
		q.join(c)
	}
	q.last = c.place
	return nil
}

// join has a claim wait behind all others.
func (q *resourceQueue) join(c *newClaim) {
	if q.last == q.holder { // nobody else waits
		q.waiters = q.waiters[:0]
		q.modes = q.modes[:0]
		q.all = true
	}
	if q.all = q.all && len(q.waiters) < waitersKept; q.all {
		q.waiters = append(q.waiters, waiter{place: c.place, task: c.task})
		q.modes = append(q.modes, c.mode)
	}
}

// queueOf is the queue of a name, read from the table if it is not kept.
func (w *writer) queueOf(name resourceName) (*resourceQueue, error) {
	if q := w.resources.queues[name]; q != nil {
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
	if w.resources.queues == nil {
		w.resources.queues = map[resourceName]*resourceQueue{}
	}
	w.resources.queues[name] = q
	return q, err
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
	q.waiters = q.waiters[:0]
	q.modes = q.modes[:0]
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
	place int64
	held  bool
}

func (w *writer) claimsOf(seq int64) (claims []claimRow, err error) {
	if err := w.writeClaims(); err != nil {
		return nil, err
	}
	st := w.st.claimsOfTask
	st.bind().int(seq)
	err = st.each(func(r row) bool {
		claims = append(claims, claimRow{resourceName: resourceName{r.text(0), r.text(1)}, place: r.int(2), held: r.int(3) == 1})
		return true
	})
	return claims, err
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
			w.letGoOf(n, q, at)
		}
	}
	w.resources.ended = append(w.resources.ended, t.Seq)
	return nil
}

// letGoOf counts a holder less.
func (w *writer) letGoOf(name resourceName, q *resourceQueue, at int64) {
	q.holders = max(q.holders-1, 0)
	if q.holders == 0 && q.last > q.holder { // others that hold it share it, and whoever might do so too does already
		w.resources.free(name, q, at)
	}
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
		if c.held {
			w.letGoOf(c.resourceName, q, at)
			continue
		}
		if i := slices.IndexFunc(q.waiters, func(o waiter) bool { return o.place == c.place }); i >= 0 {
			q.waiters = slices.Delete(q.waiters, i, i+1)
			q.modes = slices.Delete(q.modes, i, i+1)
		}
		w.resources.free(c.resourceName, q, at) // it may have held back others
	}
	w.resources.ended = append(w.resources.ended, t.Seq)
	return nil
}

// writeClaims brings the table up to date with what the transaction has done to claims so far,
// a run of tasks by one statement. Whatever reads the table calls it before. No task both
// comes to the queues and leaves them in between: who leaves is read first, or runs.
func (w *writer) writeClaims() error {
	q := &w.resources
	slices.Sort(q.ended)
	if err := eachRun(q.ended, func(first, last int64) error {
		w.st.claimsDelete.bind().int(first).int(last)
		return w.st.claimsDelete.run()
	}); err != nil {
		return err
	}
	q.ended = q.ended[:0]
	for coming := q.coming; len(coming) > 0; {
		st := w.st.claimInsert
		n := 1
		if len(coming) >= claimsAtOnce {
			st = w.st.claimsInsert
			n = claimsAtOnce
		}
		a := st.bind()
		for _, c := range coming[:n] {
			a.int(c.task).value(c.owner).value(c.name).int(c.place).int(int64(c.mode)).int(flag(c.held)).int(c.since)
		}
		if err := st.run(); err != nil {
			return err
		}
		coming = coming[n:]
	}
	q.coming = q.coming[:0]
	return nil
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
