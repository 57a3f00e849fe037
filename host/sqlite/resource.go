package sqlite

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlClaimLast     = `SELECT place, mode, held FROM resource_claim WHERE owner = ? AND name = ? ORDER BY place DESC LIMIT 1`
	sqlClaimFirst    = `SELECT mode, held FROM resource_claim WHERE owner = ? AND name = ? ORDER BY place LIMIT 1`
	sqlClaimWaiting  = `SELECT place, task, mode FROM resource_claim WHERE owner = ? AND name = ? AND held = 0 ORDER BY place LIMIT +?`
	sqlClaimInsert   = `INSERT INTO resource_claim (owner, name, place, task, mode, held, since) VALUES (?, ?, ?, ?, ?, ?, ?)`
	sqlClaimGrant    = `UPDATE resource_claim SET held = 1, since = ? WHERE owner = ? AND name = ? AND place = ?`
	sqlClaimsOfTask  = `SELECT owner, name, place, held FROM resource_claim WHERE task = ?`
	sqlClaimDelete   = `DELETE FROM resource_claim WHERE owner = ? AND name = ? AND place = ?`
	sqlResourceNames = `SELECT DISTINCT owner, name FROM resource_claim WHERE (?1 OR owner = ?2) AND (name, owner) > (?3, ?4) ORDER BY name, owner LIMIT +?5`
	sqlResourceRows  = `SELECT t.id, c.mode, c.since FROM resource_claim c JOIN task t ON t.seq = c.task WHERE c.owner = ? AND c.name = ? AND c.held = ? ORDER BY c.place LIMIT +?`
	sqlResourceCount = `SELECT coalesce(sum(held), 0), count(*) FROM resource_claim WHERE owner = ? AND name = ?`
	sqlBlockedBy     = `SELECT DISTINCT t.id FROM resource_claim mine JOIN resource_claim c ON c.owner = mine.owner AND c.name = mine.name AND c.place < mine.place AND c.held = 1
JOIN task t ON t.seq = c.task WHERE mine.task = ? AND mine.held = 0 LIMIT +?`
)

var (
	sqlReadyRow  = named(`SELECT lane, priority, place, version, id FROM task WHERE seq = ? AND waiting = +{resource}`)
	sqlMakeReady = named(`UPDATE task SET waiting = {queued}, version = version + 1, updated_at = ? WHERE seq = ?`)
)

// grantAtOnce bounds how many get a resource in one operation.
const grantAtOnce = 500

// resourcesDocument is the resources of a task as they are stored; "" for none.
func resourcesDocument(r *task.Resources) string {
	if r.None() {
		return ""
	}
	b, _ := json.Marshal(r) // lists of strings always marshal
	return string(b)
}

// claimResources has a task that is ready join the queues of its resources, if it needs
// some and has not joined yet. It says whether the task has them all.
func (w *writer) claimResources(t *task.Task, seq, at int64) (has bool, err error) {
	claims, err := w.claimsOf(seq)
	if err != nil {
		return false, err
	}
	has = true
	for _, c := range claims {
		has = has && c.held
	}
	if len(claims) > 0 {
		return has, nil
	}
	for _, m := range [...]struct {
		mode  resource.Mode
		names []string
	}{{resource.Exclusive, t.Resources.Exclusive}, {resource.Shared, t.Resources.Shared}} {
		for _, name := range m.names {
			held, err := w.claimResource(t.Owner, name, m.mode, seq, at)
			if err != nil {
				return false, err
			}
			has = has && held
		}
	}
	return has, nil
}

// claimResource puts a task at the end of a resource's queue, and says whether it has the
// resource at once. Those that hold it are the first of the queue: if the last of all
// does, all do.
func (w *writer) claimResource(owner, name string, mode resource.Mode, seq, at int64) (held bool, err error) {
	st := w.st.claimLast
	st.bind().value(owner).value(name)
	found, err := st.one()
	if err != nil {
		return false, err
	}
	place := int64(1)
	held = true
	if found {
		place = st.row.int(0) + 1
		held = st.row.int(2) == 1 && resource.Fits(1, resource.Mode(st.row.int(1)), mode)
	}
	st = w.st.claimInsert
	st.bind().value(owner).value(name).int(place).int(seq).int(int64(mode)).int(flag(held)).int(at)
	return held, st.run()
}

// waitForResources is why a ready task waits.
func (w *writer) waitForResources(t *task.Task, seq, at int64) (task.Waiting, error) {
	if t.Resources.None() {
		return task.WaitQueued, nil
	}
	has, err := w.claimResources(t, seq, at)
	if has {
		return task.WaitQueued, err
	}
	return task.WaitResource, err
}

// claimRow is a claim of a task.
type claimRow struct {
	owner, name string
	place       int64
	held        bool
}

func (w *writer) claimsOf(seq int64) (claims []claimRow, err error) {
	st := w.st.claimsOfTask
	st.bind().int(seq)
	err = st.each(func(r row) bool {
		claims = append(claims, claimRow{owner: r.text(0), name: r.text(1), place: r.int(2), held: r.int(3) == 1})
		return true
	})
	return claims, err
}

// releaseResources gives back what a task holds or waits for, and has it given on.
func (w *writer) releaseResources(seq int64) error {
	claims, err := w.claimsOf(seq)
	if err != nil {
		return err
	}
	for _, c := range claims {
		w.st.claimDelete.bind().value(c.owner).value(c.name).int(c.place)
		if err := w.st.claimDelete.run(); err != nil {
			return err
		}
		st := w.st.claimLast
		st.bind().value(c.owner).value(c.name)
		found, err := st.one()
		if err != nil {
			return err
		}
		if found && st.row.int(2) == 0 {
			if err := w.signal(task.Signal{Kind: task.SignalResource, Owner: c.owner, Name: c.name}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Grant implements resource.Store.
func (s *Store) Grant(ctx context.Context, used task.Signal, now time.Time) ([]task.ID, error) {
	o := &grantOp{signal: used, now: now}
	if err := s.w.do(ctx, o); err != nil {
		return nil, err
	}
	return o.ready, o.refused
}

type grantOp struct {
	signal  task.Signal
	now     time.Time
	ready   []task.ID
	refused error
}

func (o *grantOp) size() (rows, bytes int) { return grantAtOnce, 0 }

func (o *grantOp) run(w *writer) (err error) {
	o.ready = nil
	if o.refused, err = w.checkSignal(o.signal); o.refused != nil || err != nil {
		return err
	}
	owner, name := o.signal.Owner, o.signal.Name
	st := w.st.claimFirst
	st.bind().value(owner).value(name)
	found, err := st.one()
	if err != nil {
		return err
	}
	held, last := int64(0), resource.Shared
	if found {
		held, last = st.row.int(1), resource.Mode(st.row.int(0))
	}
	waiting, modes, err := w.waitingFor(owner, name)
	if err != nil {
		return err
	}
	n := resource.Grant(held, last, modes)
	for _, c := range waiting[:n] {
		w.st.claimGrant.bind().int(micros(o.now)).value(owner).value(name).int(c.place)
		if err := w.st.claimGrant.run(); err != nil {
			return err
		}
		if err := o.makeReady(w, c.task); err != nil {
			return err
		}
	}
	if n == grantAtOnce { // there may be more who get it
		return w.signal(o.signal)
	}
	return w.useSignal(o.signal)
}

// waitingClaim is a claim in the queue for a resource.
type waitingClaim struct{ place, task int64 }

// waitingFor are the first who wait for a resource.
func (w *writer) waitingFor(owner, name string) (claims []waitingClaim, modes []resource.Mode, err error) {
	st := w.st.claimWaiting
	st.bind().value(owner).value(name).int(grantAtOnce)
	err = st.each(func(r row) bool {
		claims = append(claims, waitingClaim{r.int(0), r.int(1)})
		modes = append(modes, resource.Mode(r.int(2)))
		return true
	})
	return claims, modes, err
}

// makeReady makes a task ready that has got a resource, unless it waits for another.
func (o *grantOp) makeReady(w *writer, seq int64) error {
	claims, err := w.claimsOf(seq)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if !c.held {
			return nil
		}
	}
	st := w.st.readyRow
	st.bind().int(seq)
	found, err := st.one()
	if err != nil || !found {
		return err
	}
	l, err := w.laneOf(st.row.int(0))
	if err != nil {
		return err
	}
	entry := entryOf(st.row.int(1), st.row.int(2), seq)
	version := st.row.int(3) + 1
	var id task.ID
	copy(id[:], st.row.blob(4))
	w.st.makeReady.bind().int(micros(o.now)).int(seq)
	if err := w.st.makeReady.run(); err != nil {
		return err
	}
	w.feed.note(task.FeedChange{Seq: seq, ID: id, Owner: l.Owner, State: task.Pending, Version: version})
	w.lanes.Move(l, lane.Waiting, l, lane.Ready)
	w.lanes.MoveReason(l, task.WaitResource, l, task.WaitQueued)
	l.Window.Add(entry)
	o.ready = append(o.ready, id)
	return nil
}

// Resources implements resource.Store.
func (s *Store) Resources(ctx context.Context, scope task.Scope, after string, limit int) (page resource.Page, err error) {
	if limit <= 0 {
		limit = task.DefaultListed
	}
	limit = min(limit, task.MaxListLimit)
	name, owner, _ := strings.Cut(after, "\x00")
	err = s.rows(ctx, sqlResourceNames, []any{scope.All, scope.Owner, name, owner, limit + 1}, 2, func(r row) bool {
		page.Resources = append(page.Resources, resource.Resource{Owner: r.text(0), Name: r.text(1)})
		return true
	})
	if err == nil && len(page.Resources) > limit {
		page.Resources = page.Resources[:limit]
		last := &page.Resources[limit-1]
		page.Next = last.Name + "\x00" + last.Owner
	}
	for i := range page.Resources {
		if err == nil {
			err = s.readClaims(ctx, &page.Resources[i])
		}
	}
	return page, err
}

// Resource implements resource.Store.
func (s *Store) Resource(ctx context.Context, scope task.Scope, name string) (resource.Resource, error) {
	r := resource.Resource{Owner: scope.Owner, Name: name}
	err := s.readClaims(ctx, &r)
	if err == nil && r.Held+r.Waiting == 0 {
		err = task.Errorf(task.CodeNotFound, "nobody holds or waits for a resource %q", name)
	}
	return r, err
}

func (s *Store) readClaims(ctx context.Context, out *resource.Resource) error {
	err := s.rows(ctx, sqlResourceCount, []any{out.Owner, out.Name}, 2, func(r row) bool {
		out.Held = r.int(0)
		out.Waiting = r.int(1) - r.int(0)
		return false
	})
	for held, claims := range map[int64]*[]resource.Claim{1: &out.Holders, 0: &out.Queue} {
		if err != nil {
			break
		}
		err = s.rows(ctx, sqlResourceRows, []any{out.Owner, out.Name, held, resource.MaxClaims}, 3, func(r row) bool {
			c := resource.Claim{Mode: resource.Mode(r.int(1)), Since: r.time(2)}
			copy(c.Task[:], r.blob(0))
			*claims = append(*claims, c)
			return true
		})
	}
	return err
}

// blockersShown bounds BlockedBy.
const blockersShown = 100

// BlockedBy implements resource.Store.
func (s *Store) BlockedBy(ctx context.Context, seq int64) (ids []task.ID, err error) {
	err = s.rows(ctx, sqlBlockedBy, []any{seq, blockersShown}, 1, func(r row) bool {
		var id task.ID
		copy(id[:], r.blob(0))
		ids = append(ids, id)
		return true
	})
	return ids, err
}

// signalKey is whom a signal is for, as it is stored.
func signalKey(g *task.Signal) []byte {
	if g.Kind != task.SignalResource {
		return g.ID[:]
	}
	key := binary.BigEndian.AppendUint32(nil, uint32(len(g.Owner)))
	return append(append(key, g.Owner...), g.Name...)
}

// readSignalKey reads what signalKey made.
func readSignalKey(g *task.Signal, key []byte) {
	if g.Kind != task.SignalResource || len(key) < 4 {
		copy(g.ID[:], key)
		return
	}
	n := min(int(binary.BigEndian.Uint32(key)), len(key)-4)
	g.Owner = string(key[4 : 4+n])
	g.Name = string(key[4+n:])
}
