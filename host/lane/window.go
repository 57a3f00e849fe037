package lane

import (
	"cmp"
	"slices"
)

// WindowSize is how many entries a window holds at the most: 4 KiB a lane.
const WindowSize = 256

// Entry is a ready task's place in the queue of its lane.
type Entry struct {
	Priority int64 // higher first
	Place    int64 // then by the order key of the task itself, or of the one at the top of its tree
	Seq      int64 // then older first
}

// Compare is negative if e is claimed before o.
func (e Entry) Compare(o Entry) int {
	if e.Priority != o.Priority {
		return cmp.Compare(o.Priority, e.Priority)
	}
	if e.Place != o.Place {
		return cmp.Compare(e.Place, o.Place)
	}
	return cmp.Compare(e.Seq, o.Seq)
}

// Window is the head of a lane's queue. What holds always: every ready task of the
// lane up to the window's end is in it. It may also hold tasks that are ready no more,
// which whoever claims them must find out; and beyond the end there may be more in the
// table. The zero value knows nothing: all is beyond its end.
type Window struct {
	entries  []Entry // in the order of Compare
	read     bool    // the table was read since the window last knew nothing
	beyond   bool    // there may be ready tasks beyond the end
	end      Entry   // up to where the table was read, if hasEnd
	hasEnd   bool    // false: the end is before all entries
	tasks    Entry   // up to where the store has read the tasks themselves, if hasTasks
	hasTasks bool
}

// Reset has the window know nothing.
func (w *Window) Reset() { *w = Window{entries: w.entries[:0]} }

// End is up to where the table was read; false if it is to be read from its beginning.
func (w *Window) End() (Entry, bool) { return w.end, w.hasEnd }

// TasksFrom says that nothing was read yet of the tasks themselves from e on. If they are,
// TasksTo says up to which.
func (w *Window) TasksFrom(e Entry) bool { return !w.hasTasks || e.Compare(w.tasks) > 0 }

// TasksTo notes up to where the tasks themselves were read.
func (w *Window) TasksTo(e Entry) {
	w.tasks = e
	w.hasTasks = true
}

// Complete says that the table holds no ready task beyond the window.
func (w *Window) Complete() bool { return w.read && !w.beyond }

// Add takes up a task that became ready.
func (w *Window) Add(e Entry) {
	if !w.Complete() && (!w.hasEnd || e.Compare(w.end) > 0) {
		return // it is beyond the end, and the table will tell
	}
	at, found := slices.BinarySearchFunc(w.entries, e, Entry.Compare)
	if found {
		return
	}
	w.entries = slices.Insert(w.entries, at, e)
	if len(w.entries) > WindowSize {
		w.entries = w.entries[:WindowSize]
		w.end = w.entries[WindowSize-1]
		w.hasEnd = true
		w.beyond = true
	}
}

// Fill takes up the entries that the table holds next beyond the end, in order. more
// says that the read stopped at its limit and not at the end of the queue.
func (w *Window) Fill(es []Entry, more bool) {
	w.entries = append(w.entries, es...)
	w.read = true
	w.beyond = more
	if len(es) > 0 {
		w.end = es[len(es)-1]
		w.hasEnd = true
	}
}

// pop takes the first entry out. There must be one.
func (w *Window) pop() { w.entries = w.entries[1:] }

// Read reads up to limit entries of a lane's queue from the table, in order, beyond
// the end of the lane's window; fewer only if there are no more. The slice may be used
// again by the next call.
type Read func(l *Lane, limit int) ([]Entry, error)

// head is the first entry of a lane's queue, read from the table if the window is
// empty; false if there is none.
func (l *Lane) head(read Read) (Entry, bool, error) {
	w := &l.Window
	if len(w.entries) == 0 && !w.Complete() {
		w.entries = w.entries[:0]
		es, err := read(l, WindowSize)
		if err != nil {
			return Entry{}, false, err
		}
		w.Fill(es, len(es) == WindowSize)
	}
	if len(w.entries) == 0 {
		return Entry{}, false, nil
	}
	return w.entries[0], true, nil
}
