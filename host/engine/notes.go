package engine

import (
	"sync"

	"github.com/taskhost/taskhost/host/task"
)

// notes are an attempt's progress and log lines on their way to the store. They are
// saved some times a second, and never hold up whoever makes them.
type notes struct {
	mu       sync.Mutex
	closed   bool // the attempt holds its task no more: nothing is taken
	progress task.Progress
	reported bool // there was any progress
	unsaved  bool // … that is not on record
	marked   bool // in Engine.unsaved

	lines     []task.LogLine
	firstLine int64 // what the numbers of the lines begin with
	kept      logSize
	dropped   logSize // what there was no room for any more
	markers   int64   // lines of the host's own, which tell of that
}

// logSize is how much was logged, or may be.
type logSize struct{ lines, bytes int64 }

// add counts a line.
func (s *logSize) add(bytes int64) {
	s.lines++
	s.bytes += bytes
}

// keep counts a line, and says whether it is to be kept; first, that it is the first that is not.
func (n *notes) keep(line *task.LogLine, most logSize) (kept, first bool) {
	size := lineSize(line)
	if n.dropped.lines > 0 || n.kept.lines >= most.lines || n.kept.bytes+size > most.bytes {
		n.dropped.add(size)
		return false, n.dropped.lines == 1
	}
	n.kept.add(size)
	return true, false
}

// append numbers a line and leaves it to the next save. first is as of mark; n.mu is held.
func (n *notes) append(line *task.LogLine) (first bool) {
	line.Seq = int64(line.Attempt)*seqPerAttempt + n.firstLine + n.kept.lines + n.markers
	n.lines = append(n.lines, *line)
	return n.mark()
}

func (n *notes) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
}

// lastProgress is what the attempt reported last; false if nothing. It counts as saved.
func (n *notes) lastProgress() (task.Progress, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsaved = false
	return n.progress, n.reported
}

// mark says whether the attempt must be put among the unsaved; n.mu is held.
func (n *notes) mark() bool {
	first := !n.marked
	n.marked = true
	return first
}

// haveLines says whether there are lines to be saved, or to be told of.
func (n *notes) haveLines() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lines) > 0 || n.dropped.lines > 0
}

// takeLines is what was logged since it was last asked.
func (n *notes) takeLines() []task.LogLine {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := n.lines
	n.lines = nil
	return lines
}

// maxLogLine is how many bytes of a line's text, and of each of its fields, are kept at the most.
const maxLogLine = 8 << 10

// seqPerAttempt leaves each attempt its own range of line numbers, so that they
// rise within the task without asking the store for the last.
const seqPerAttempt = 1 << 32

// seqPerHost leaves each host process that joins the attempt its own range within
// that: the store takes a number once, and would drop the lines of the second.
const seqPerHost = 1 << 21

func lineSize(l *task.LogLine) int64 {
	size := len(l.Message)
	for k, v := range l.Fields {
		size += len(k) + len(v)
	}
	return int64(size)
}

// unsavedNotes are the attempts with notes that are not on record.
type unsavedNotes struct {
	mu  sync.Mutex
	set map[*attempt]struct{}
}

func (u *unsavedNotes) add(a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.set == nil {
		u.set = map[*attempt]struct{}{}
	}
	u.set[a] = struct{}{}
}

// take empties the set. What it gives is the caller's.
func (u *unsavedNotes) take() map[*attempt]struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	set := u.set
	u.set = nil
	return set
}
