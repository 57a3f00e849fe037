package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// stopped is a store whose writer is the test's to drive.
func stopped(t *testing.T) *Store {
	s := openStore(t, t.TempDir())
	s.w.stop()
	return s
}

func insertion(t *testing.T, tasks ...*task.Task) *ticket {
	t.Helper()
	o := &insertOp{sub: task.Submission{Tasks: tasks}, rows: make([]insertRow, len(tasks))}
	for i, n := range tasks {
		if err := o.rows[i].encode(n); err != nil {
			t.Fatal(err)
		}
	}
	return &ticket{op: o, done: make(chan struct{})}
}

// TestGroupFailsAlone: one operation that the schema refuses is left out of its
// group; the others are made, once, and memory agrees with the tables.
func TestGroupFailsAlone(t *testing.T) {
	s := stopped(t)
	a, b, c, d := newTask(t, task.Spec{}), newTask(t, task.Spec{Type: "new"}), newTask(t, task.Spec{}), newRunning(t)
	c.ID = a.ID
	other := newTask(t, task.Spec{Type: "newer"})
	broken := newRunning(t)
	broken.Token = task.Token{} // running without an attempt
	group := []*ticket{insertion(t, a), insertion(t, b), insertion(t, other, c), insertion(t, d), insertion(t, broken),
		{op: &claimOp{claim: task.Claim{Shares: []task.Share{{Lanes: []task.LaneID{1, 2}, Max: 1}}, Max: 1, Now: time.Now(), NewToken: newToken, Executor: "x"}}}}
	s.w.write(group)
	for i, want := range []task.Code{"", "", task.CodeConflict, "", task.CodeInternal, ""} {
		if got := task.CodeOf(group[i].err); got != want {
			t.Errorf("operation %d: %v, want code %q", i, group[i].err, want)
		}
	}
	if got := group[5].op.(*claimOp).taken; len(got) != 1 || got[0].Change.Task.ID != a.ID {
		t.Errorf("claimed %v, want the first task", got)
	}
	var types []string
	for _, l := range s.Lanes(0) {
		types = append(types, l.Type)
	}
	if want := []string{"noop", "new"}; !slices.Equal(types, want) {
		t.Errorf("lanes %v, want %v: the lane of a refused task is none", types, want)
	}
	if got := s.lanes.Count([]task.LaneID{1})[0]; got != (task.LaneCount{Active: 2}) {
		t.Errorf("lane 1 counts %+v", got)
	}
	if r, err := Check(t.Context(), s.dir, nil); err != nil || !r.OK() || r.Tasks[task.Running] != 2 || r.Tasks[task.Pending] != 1 {
		t.Errorf("check: %+v, %v", r, err)
	}
}

// TestFullDisk: when the disk is full every operation of the group is told so,
// nothing of it is written, and the store goes on once there is room.
func TestFullDisk(t *testing.T) {
	s := stopped(t)
	pages, err := pragma(s.w.conn, "page_count")
	if err != nil {
		t.Fatal(err)
	}
	limit := func(n string) {
		if _, err := s.w.conn.Exec("PRAGMA max_page_count = "+n, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages)
	big := task.Spec{Type: "big", Input: fmt.Appendf(nil, "%q", make([]byte, 100_000))}
	small := insertion(t, newTask(t, task.Spec{}))
	large := insertion(t, newTask(t, big))
	s.w.write([]*ticket{small, large})
	for i, tk := range []*ticket{small, large} {
		if task.CodeOf(tk.err) != task.CodeStoreFull {
			t.Errorf("operation %d on a full disk: %v", i, tk.err)
		}
	}
	if len(s.Lanes(0)) != 0 || !s.w.conn.AutoCommit() {
		t.Error("something was left of the group")
	}
	limit("1000000")
	again := []*ticket{insertion(t, newTask(t, task.Spec{})), insertion(t, newTask(t, big))}
	s.w.write(again)
	for i, tk := range again {
		if tk.err != nil {
			t.Errorf("operation %d after there is room: %v", i, tk.err)
		}
	}
	if r, err := Check(t.Context(), s.dir, nil); err != nil || !r.OK() || r.Tasks[task.Pending] != 2 {
		t.Errorf("check: %+v, %v", r, err)
	}
}

// TestFatal: a disk that does not take a commit ends the store, and is not asked twice.
func TestFatal(t *testing.T) {
	for name, c := range map[string]struct {
		err      sqlite3.Error
		atCommit bool
		fatal    bool
		want     task.Code
	}{
		"fsync":           {sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrFsync}, false, true, task.CodeStoreUnavailable},
		"commit":          {sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrWrite}, true, true, task.CodeStoreUnavailable},
		"a read":          {sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrRead}, false, false, task.CodeStoreUnavailable},
		"full at commit":  {sqlite3.Error{Code: sqlite3.ErrFull}, true, false, task.CodeStoreFull},
		"corrupt":         {sqlite3.Error{Code: sqlite3.ErrCorrupt}, false, false, task.CodeStoreUnavailable},
		"busy at a begin": {sqlite3.Error{Code: sqlite3.ErrBusy}, true, false, task.CodeStoreUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := stopped(t)
			var told error
			s.w.fatal = func(err error) { told = err }
			if got := s.w.storeError(fmt.Errorf("wrapped: %w", c.err), c.atCommit); task.CodeOf(got) != c.want {
				t.Errorf("callers are told %v, want code %s", got, c.want)
			}
			if (told != nil) != c.fatal {
				t.Fatalf("fatal was told %v, want it told: %v", told, c.fatal)
			}
			tk := insertion(t, newTask(t, task.Spec{}))
			s.w.write([]*ticket{tk})
			if (tk.err != nil) != c.fatal {
				t.Errorf("the next write: %v", tk.err)
			}
		})
	}
}

// TestWindow compares a lane's window with the table, through random inserts,
// claims, retries and rollbacks.
func TestWindow(t *testing.T) {
	s := stopped(t)
	rng := rand.New(rand.NewPCG(1, 2))
	ready := map[int64]int64{} // seq to priority: what should be claimable
	sorted := func() []lane.Entry {
		var es []lane.Entry
		for seq, p := range ready {
			es = append(es, lane.Entry{Priority: p, Seq: seq})
		}
		slices.SortFunc(es, lane.Entry.Compare)
		return es
	}
	var running []task.Task
	for range 300 {
		switch op := rng.IntN(10); {
		case op < 3:
			var ts []*task.Task
			for range rng.IntN(200) + 1 {
				ts = append(ts, newTask(t, task.Spec{Priority: rng.IntN(7) - 3}))
			}
			tk := insertion(t, ts...)
			s.w.write([]*ticket{tk})
			if tk.err != nil {
				t.Fatal(tk.err)
			}
			for i, n := range ts {
				ready[tk.op.(*insertOp).rows[i].seq] = int64(n.Priority)
			}
		case op < 4: // a group that is undone
			bad := newTask(t, task.Spec{})
			twin := newTask(t, task.Spec{})
			twin.ID = bad.ID
			claim := &ticket{op: &failing{claimOp{claim: task.Claim{Shares: firstLane(50), Max: 50, NewToken: newToken, Now: time.Now()}}}}
			s.w.write([]*ticket{claim, insertion(t, bad, twin)})
			if claim.err == nil {
				t.Fatal("the group was not undone")
			}
		case op < 6 && len(running) > 0: // retries
			n := rng.IntN(min(len(running), 30)) + 1
			var changes []task.Change
			for _, r := range running[:n] {
				c, err := task.Settle(&r, &task.Outcome{Kind: task.OutcomeLost}, task.Backoff{}, time.Now(), 0)
				if err != nil {
					t.Fatal(err)
				}
				changes = append(changes, c)
				ready[r.Seq] = int64(r.Priority)
			}
			running = running[n:]
			o := newApplyOp(changes)
			s.w.write([]*ticket{{op: o}})
			if i := slices.IndexFunc(o.errs, func(err error) bool { return err != nil }); i >= 0 {
				t.Fatal(o.errs[i])
			}
		default:
			most := rng.IntN(150) + 1
			o := &claimOp{claim: task.Claim{Shares: firstLane(most), Max: most, NewToken: newToken, Now: time.Now()}}
			s.w.write([]*ticket{{op: o}})
			want := sorted()
			want = want[:min(len(want), o.claim.Max)]
			if len(o.taken) != len(want) {
				t.Fatalf("claimed %d, want %d", len(o.taken), len(want))
			}
			for i := range o.taken {
				n := o.taken[i].Change.Task
				running = append(running, n)
				if n.Seq != want[i].Seq {
					t.Fatalf("claim %d took seq %d priority %d, want seq %d priority %d", i, n.Seq, n.Priority, want[i].Seq, want[i].Priority)
				}
				delete(ready, n.Seq)
			}
		}
	}
	if got := s.lanes.Ready([]task.LaneID{1}); got != int64(len(ready)) {
		t.Fatalf("Ready says %d, want %d", got, len(ready))
	}
}

// firstLane is a share of the first lane.
func firstLane(most int) []task.Share {
	return []task.Share{{Lanes: []task.LaneID{1}, Max: most}}
}

// failing claims, and then has its transaction undone.
type failing struct{ claimOp }

func (f *failing) run(w *writer) error {
	return errors.Join(f.claimOp.run(w), errors.New("undo"))
}

// TestEmptyBlocksAreSwept: blocks that hold nothing any more are taken off the record.
func TestEmptyBlocksAreSwept(t *testing.T) {
	s := stopped(t)
	for block := range int64(200) {
		s.w.lastSeq = block << blockShift
		n := newRunning(t)
		tk := insertion(t, n)
		s.w.write([]*ticket{tk})
		n.Seq = tk.op.(*insertOp).rows[0].seq
		if block%50 == 0 {
			continue // still running
		}
		o := newApplyOp([]task.Change{succeeded(t, n)})
		s.w.write([]*ticket{{op: o}})
		if tk.err != nil || o.errs[0] != nil {
			t.Fatal(tk.err, o.errs)
		}
	}
	var blocks int64
	if err := s.rows(t.Context(), `SELECT count(*) FROM in_flight_block`, nil, 1, func(r row) bool { blocks = r.int(0); return true }); err != nil {
		t.Fatal(err)
	}
	if blocks > 70 {
		t.Errorf("%d blocks are on record", blocks)
	}
	if ts, err := s.InFlight(t.Context(), "", 0, 100); err != nil || len(ts) != 4 {
		t.Errorf("%d tasks are held, %v, want 4", len(ts), err)
	}
}
