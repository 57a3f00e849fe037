package sqlite

import (
	"maps"
	"slices"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// What is read once, at open.
var (
	sqlCountReady     = named(`SELECT lane, count(*) FROM task WHERE waiting = {queued} GROUP BY lane`)
	sqlCountScheduled = named(`SELECT lane, count(*), {scheduled} FROM task WHERE waiting = {scheduled} GROUP BY lane`)
	sqlCountResting   = named(`SELECT lane, count(*), waiting FROM task WHERE waiting > {scheduled} AND waiting <> {dispatched} GROUP BY lane, waiting`)
	sqlCountInFlight  = named(`SELECT seq, lane, waiting FROM task WHERE seq >= ? AND seq < ? AND (state BETWEEN {running} AND {reverting} OR waiting = {dispatched})`)
)

const sqlLastOrder = `SELECT coalesce((SELECT max(seq) FROM task), 0), coalesce((SELECT value FROM meta WHERE name = 'order'), 0)`

// load fills memory from the tables: the lanes with something in them, their
// counts, and the blocks with rows that an attempt holds.
func (w *writer) load() error {
	counts := laneCounts{}
	if err := w.query(sqlCountReady, 2, nil, func(r row) error { counts.of(r.int(0)).tasks[lane.Ready] += r.int(1); return nil }); err != nil {
		return err
	}
	for _, sql := range []string{sqlCountScheduled, sqlCountResting} {
		if err := w.query(sql, 3, nil, func(r row) error {
			c := counts.of(r.int(0))
			c.tasks[lane.Waiting] += r.int(1)
			c.reasons.Add(task.Waiting(r.int(2)), r.int(1))
			return nil
		}); err != nil {
			return err
		}
	}
	if err := w.query(sqlLastOrder, 2, nil, func(r row) error {
		w.seqCommitted = r.int(1)
		w.seqOnRecord = r.int(1)
		w.lastSeq = max(r.int(0), r.int(1))
		return nil
	}); err != nil {
		return err
	}
	if err := w.query(`SELECT coalesce(max(id), 0) FROM lane`, 1, nil, func(r row) error { w.lastLane = r.int(0); return nil }); err != nil {
		return err
	}
	if err := w.loadInFlight(counts); err != nil {
		return err
	}
	if err := w.query(sqlRates, 2, nil, func(r row) error { w.lanes.SetSpent(r.text(0), task.Spent(r.int(1))); return nil }); err != nil {
		return err
	}
	if err := w.query(`SELECT task FROM upload`, 1, nil, func(r row) error { w.uploads.saved(r.int(0)); return nil }); err != nil {
		return err
	}
	for _, row := range slices.Sorted(maps.Keys(counts)) {
		l, err := w.laneOf(row)
		if err != nil {
			return err
		}
		w.lanes.Include(l, counts[row].tasks)
		w.lanes.IncludeReasons(l, counts[row].reasons)
	}
	w.lanes.Commit()
	return nil
}

// laneCounts are the counts of lanes by their rows.
type laneCounts map[int64]*countsOfLane

type countsOfLane struct {
	tasks   lane.Counts
	reasons task.ReasonCounts
}

func (c laneCounts) of(row int64) *countsOfLane {
	if c[row] == nil {
		c[row] = &countsOfLane{}
	}
	return c[row]
}

func (w *writer) loadInFlight(counts laneCounts) error {
	w.inFlight.rows = map[int64]*int64{}
	if err := w.query(`SELECT block FROM in_flight_block`, 1, nil, func(r row) error {
		w.inFlight.rows[r.int(0)] = new(int64)
		return nil
	}); err != nil {
		return err
	}
	for block, rows := range w.inFlight.rows {
		if err := w.query(sqlCountInFlight, 3, []int64{block << blockShift, (block + 1) << blockShift}, func(r row) error {
			*rows++
			c := counts.of(r.int(1))
			c.tasks[lane.Active]++
			c.reasons.Add(task.Waiting(r.int(2)), 1)
			return nil
		}); err != nil {
			return err
		}
		if *rows == 0 {
			w.inFlight.empty++
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
