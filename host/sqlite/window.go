package sqlite

import (
	"math"
	"slices"
)

// windowSize bounds what a lane keeps of its queue in memory: 4 KiB a lane.
const windowSize = 256

// entry is a ready task's place in its lane: higher priority first, then older.
type entry struct {
	priority int64
	seq      int64
}

func (e entry) compare(o entry) int {
	switch {
	case e.priority != o.priority:
		if e.priority > o.priority {
			return -1
		}
		return 1
	case e.seq < o.seq:
		return -1
	case e.seq > o.seq:
		return 1
	}
	return 0
}

// window is the head of a lane's queue. Every ready task of the lane up to end
// is in it; it may hold some that are ready no more, which a claim's guard
// finds. Beyond end the table knows, if more says that there may be any.
// The zero value knows nothing.
type window struct {
	entries []entry
	known   bool // there was a first fill; until then all is beyond end
	more    bool
	end     entry // the place up to which the table was read; of no meaning unless started
	started bool  // end is a place; else the beginning
}

func (w *window) reset() { *w = window{entries: w.entries[:0]} }

// complete says that nothing is left in the table beyond the window.
func (w *window) complete() bool { return w.known && !w.more }

// add takes up a task that became ready.
func (w *window) add(e entry) {
	if !w.complete() && (!w.started || e.compare(w.end) > 0) {
		// Beyond the end: the table will tell.
		w.more = true
		return
	}
	at, found := slices.BinarySearchFunc(w.entries, e, entry.compare)
	if found {
		return
	}
	w.entries = slices.Insert(w.entries, at, e)
	if len(w.entries) > windowSize {
		w.entries = w.entries[:windowSize]
		w.end, w.started, w.more, w.known = w.entries[windowSize-1], true, true, true
	}
}

// filled takes up what the table held beyond end, in order; more says that the
// read stopped at its bound.
func (w *window) filled(es []entry, more bool) {
	w.entries = append(w.entries, es...)
	w.known, w.more = true, more
	if len(es) > 0 {
		w.end, w.started = es[len(es)-1], true
	}
}

func (w *window) pop() { w.entries = w.entries[1:] }

// refill reads the next entries of an empty window.
func (w *writer) refill(n *lane) error {
	win := &n.window
	win.entries = win.entries[:0]
	batch := w.batch[:0]
	read := func(st *stmt) error {
		return st.each(func(r row) bool {
			batch = append(batch, entry{r.int(0), r.int(1)})
			return true
		})
	}
	if win.started {
		st := w.st.readySame
		st.bind().int(n.row).int(win.end.priority).int(win.end.seq).int(windowSize)
		if err := read(st); err != nil {
			return err
		}
	}
	if left := windowSize - len(batch); left > 0 {
		st := w.st.readyBelow
		below := int64(math.MaxInt64)
		if win.started {
			below = win.end.priority
		}
		st.bind().int(n.row).int(below).int(int64(left))
		if err := read(st); err != nil {
			return err
		}
	}
	w.batch = batch
	win.filled(batch, len(batch) == windowSize)
	return nil
}

// head is the next entry of a lane; false if it has none.
func (w *writer) head(n *lane) (entry, bool, error) {
	if len(n.window.entries) == 0 {
		if n.window.complete() {
			return entry{}, false, nil
		}
		if err := w.refill(n); err != nil {
			return entry{}, false, err
		}
	}
	if len(n.window.entries) == 0 {
		return entry{}, false, nil
	}
	return n.window.entries[0], true, nil
}
