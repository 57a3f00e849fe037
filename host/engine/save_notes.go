package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
)

// report takes progress from the script.
func (a *attempt) report(done, total int64, message string) {
	message = a.hide(message)
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

// firstLine is where the numbers of an attempt that is joined begin.
func (e *Engine) firstLine() int64 {
	const hosts = seqPerAttempt/seqPerHost - 1
	return seqPerHost * (1 + int64(e.store.Host().Epoch%hosts))
}

// line takes one line that the attempt logged; it never waits for the store.
func (a *attempt) line(level hclog.Level, msg string, args []string) {
	line := task.LogLine{At: a.engine.now(), Attempt: a.number, Level: level.String(), Message: clipLine(a.hide(msg))}
	if len(args) > 0 {
		line.Fields = make(map[string]string, (len(args)+1)/2)
	}
	for i := 0; i < len(args); i += 2 {
		key, val := hclog.MissingKey, args[i]
		if i+1 < len(args) {
			key, val = args[i], args[i+1]
		}
		line.Fields[clipLine(key)] = clipLine(a.hide(val))
	}
	n := &a.notes
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		a.engine.ignored.Add(1)
		return
	}
	kept, firstDropped := n.keep(&line, a.engine.logMost)
	if !kept && !firstDropped {
		n.mu.Unlock()
		return
	}
	if firstDropped {
		n.markers++
		line = task.LogLine{At: line.At, Attempt: line.Attempt, Level: "warn", Message: "this attempt has logged as much as is kept: the lines that follow are dropped"}
	}
	first := n.append(&line)
	n.mu.Unlock()
	a.logged(&line, first)
}

// logged has a line saved soon, and tells watchers.
func (a *attempt) logged(line *task.LogLine, first bool) {
	if first {
		a.engine.unsaved.add(a)
	}
	a.engine.hub.publish(a.id, task.Update{Log: line})
}

// sayDropped adds a last line if lines were dropped, which says how many.
func (a *attempt) sayDropped() {
	n := &a.notes
	n.mu.Lock()
	if n.closed || n.dropped.lines == 0 || n.markers != 1 {
		n.mu.Unlock()
		return
	}
	n.markers++
	most := a.engine.logMost
	line := task.LogLine{At: a.engine.now(), Attempt: a.number, Level: "warn",
		Message: fmt.Sprintf("%d lines with %d bytes were dropped: of an attempt %d lines are kept, and %d bytes", n.dropped.lines, n.dropped.bytes, most.lines, most.bytes),
		Fields:  map[string]string{"dropped_lines": strconv.FormatInt(n.dropped.lines, 10), "dropped_bytes": strconv.FormatInt(n.dropped.bytes, 10)}}
	first := n.append(&line)
	n.mu.Unlock()
	a.logged(&line, first)
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
