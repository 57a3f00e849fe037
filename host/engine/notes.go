package engine

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

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

// report takes progress from the script.
func (a *attempt) report(done, total int64, message string) {
	if len(message) > task.MaxMessage {
		message = strings.ToValidUTF8(message[:task.MaxMessage], "")
	}
	p := task.Progress{Done: max(done, 0), Total: max(total, 0), Message: message}
	n := &a.notes
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		a.engine.ignored.Add(1)
		return
	}
	first := n.mark()
	n.progress = p
	n.reported = true
	n.unsaved = true
	n.mu.Unlock()
	if first {
		a.engine.unsaved.add(a)
	}
	a.engine.hub.publish(a.id, task.Update{Progress: &p})
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

// firstLine is where the numbers of an attempt that is joined begin.
func (e *Engine) firstLine() int64 {
	const hosts = seqPerAttempt/seqPerHost - 1
	return seqPerHost * (1 + int64(e.store.Host().Epoch%hosts))
}

// line takes one line that the attempt logged; it never waits for the store.
func (a *attempt) line(level hclog.Level, msg string, args []string) {
	line := task.LogLine{At: a.engine.now(), Attempt: a.number, Level: level.String(), Message: clipLine(msg)}
	if len(args) > 0 {
		line.Fields = make(map[string]string, (len(args)+1)/2)
	}
	for i := 0; i < len(args); i += 2 {
		key, val := hclog.MissingKey, args[i]
		if i+1 < len(args) {
			key, val = args[i], args[i+1]
		}
		line.Fields[clipLine(key)] = clipLine(val)
	}
	n := &a.notes
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		a.engine.ignored.Add(1)
		return
	}
	if n.full() {
		n.mu.Unlock()
		return
	}
	n.lineCount++
	n.lineBytes += lineSize(&line)
	if n.full() {
		line = task.LogLine{At: line.At, Attempt: line.Attempt, Level: "warn", Message: "this attempt has logged as much as is kept; further lines are dropped"}
	}
	line.Seq = int64(line.Attempt)*seqPerAttempt + n.firstLine + n.lineCount
	first := n.mark()
	n.lines = append(n.lines, line)
	n.mu.Unlock()
	if first {
		a.engine.unsaved.add(a)
	}
	a.engine.hub.publish(a.id, task.Update{Log: &line})
}

func (n *notes) full() bool { return n.lineCount > maxLogLines || n.lineBytes > maxLogBytes }

func lineSize(l *task.LogLine) int {
	size := len(l.Message)
	for k, v := range l.Fields {
		size += len(k) + len(v)
	}
	return size
}

func clipLine(s string) string {
	if len(s) > maxLogLine {
		s = s[:maxLogLine] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// writeLogs puts what was logged on record. Lines are lost, and that is said in
// the host's log, if the store cannot take them.
func (a *attempt) writeLogs() {
	lines := a.notes.takeLines()
	if len(lines) == 0 {
		return
	}
	if err := a.engine.store.AppendLogs(context.Background(), a.seq, lines); err != nil && task.CodeOf(err) != task.CodeNotFound {
		a.engine.log.Warn("log lines not written", "task", a.id, "lines", len(lines), "error", err)
	}
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

// saveEvery is how often notes are saved, so a task's progress is written four times a
// second at most.
const saveEvery = 250 * time.Millisecond

// saveNotes writes progress and log lines for as long as the engine runs.
func (e *Engine) saveNotes() {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.saveAllNotes()
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) saveAllNotes() {
	var progress []task.ProgressNote
	for a := range e.unsaved.take() {
		n := &a.notes
		n.mu.Lock()
		n.marked = false
		if n.unsaved {
			progress = append(progress, task.ProgressNote{Seq: a.seq, Attempt: a.number, Progress: n.progress, At: e.now()})
			n.unsaved = false
		}
		n.mu.Unlock()
		a.writeLogs()
	}
	if len(progress) == 0 {
		return
	}
	if err := e.store.SaveProgress(context.Background(), progress); err != nil {
		e.log.Warn("progress not written", "tasks", len(progress), "error", err)
	}
}
