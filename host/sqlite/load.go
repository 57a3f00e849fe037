package sqlite

import (
	"maps"
	"slices"

	"github.com/taskhost/taskhost/host/lane"
)

// What is read once, at open.
const (
	sqlCountReady     = `SELECT lane, count(*) FROM task WHERE waiting = 1 GROUP BY lane`
	sqlCountScheduled = `SELECT lane, count(*) FROM task WHERE waiting = 2 GROUP BY lane`
	sqlCountResting   = `SELECT lane, count(*) FROM task WHERE waiting IN (3, 4, 5, 8) GROUP BY lane`
	sqlLastOrder      = `SELECT coalesce((SELECT max(seq) FROM task), 0), coalesce((SELECT value FROM meta WHERE name = 'order'), 0)`
	sqlCountHeld      = `SELECT seq, lane FROM task WHERE seq >= ? AND seq < ? AND (state BETWEEN 2 AND 4 OR waiting = 7)`
)

// load fills memory from the tables: the lanes with something in them, their
// counts, and what is held.
func (w *writer) load() error {
	counts := laneCounts{}
	for sql, counter := range map[string]lane.Counter{sqlCountReady: lane.Ready, sqlCountScheduled: lane.Waiting, sqlCountResting: lane.Waiting} {
		if err := w.query(sql, 2, nil, func(r row) error { counts.add(counter, r.int(0), r.int(1)); return nil }); err != nil {
			return err
		}
	}
	if err := w.query(sqlLastOrder, 2, nil, func(r row) error {
		w.kept, w.marked, w.next = r.int(1), r.int(1), max(r.int(0), r.int(1))
		return nil
	}); err != nil {
		return err
	}
	if err := w.query(`SELECT coalesce(max(id), 0) FROM lane`, 1, nil, func(r row) error { w.lastLane = r.int(0); return nil }); err != nil {
		return err
	}
	if err := w.loadHeld(counts); err != nil {
		return err
	}
	for _, row := range slices.Sorted(maps.Keys(counts)) {
		l, err := w.laneOf(row)
		if err != nil {
			return err
		}
		w.lanes.Include(l, *counts[row])
	}
	w.lanes.Commit()
	return nil
}

// laneCounts are the counts of lanes by their rows.
type laneCounts map[int64]*lane.Counts

func (c laneCounts) add(counter lane.Counter, row, n int64) {
	if c[row] == nil {
		c[row] = &lane.Counts{}
	}
	c[row][counter] += n
}

func (w *writer) loadHeld(counts laneCounts) error {
	w.held.blocks = map[int64]*heldCount{}
	if err := w.query(`SELECT block FROM held`, 1, nil, func(r row) error {
		w.held.blocks[r.int(0)] = &heldCount{}
		return nil
	}); err != nil {
		return err
	}
	for b, c := range w.held.blocks {
		if err := w.query(sqlCountHeld, 2, []int64{b << heldShift, (b + 1) << heldShift}, func(r row) error {
			c.rows++
			counts.add(lane.Active, r.int(1), 1)
			return nil
		}); err != nil {
			return err
		}
		if c.rows == 0 {
			w.held.empty++
		}
	}
	return nil
}

// query runs a statement that is used once.
func (w *writer) query(sql string, columns int, args []int64, f func(row) error) error {
	st, err := prepare(w.conn, sql, columns)
	if err != nil {
		return err
	}
	a := st.bind()
	for _, v := range args {
		a.int(v)
	}
	var failed error
	err = st.each(func(r row) bool { failed = f(r); return failed == nil })
	if err == nil {
		err = failed
	}
	if closeErr := st.s.Close(); err == nil {
		err = closeErr
	}
	return err
}
