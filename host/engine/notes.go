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
	lineCount int64
	lineBytes int
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

// takeLines is what was logged since it was last asked.
func (n *notes) takeLines() []task.LogLine {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := n.lines
	n.lines = nil
	return lines
}

// What one attempt may log; more is dropped, and the last line says so.
const (
	maxLogLines = 10_000
	maxLogBytes = 4 << 20
	maxLogLine  = 8 << 10
)

// seqPerAttempt leaves each attempt its own range of line numbers, so that they
// rise within the task without asking the store for the last.
const seqPerAttempt = 1 << 32

// seqPerHost leaves each host process that joins the attempt its own range within
// that: the store takes a number once, and would drop the lines of the second.
const seqPerHost = 1 << 16

func (n *notes) full() bool { return n.lineCount > maxLogLines || n.lineBytes > maxLogBytes }

func lineSize(l *task.LogLine) int {
	size := len(l.Message)
	for k, v := range l.Fields {
		size += len(k) + len(v)
	}
	return size
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
