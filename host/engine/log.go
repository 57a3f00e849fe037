package engine

import (
	"context"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
)

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
	return seqPerHost * (1 + int64(e.store.Epoch()%hosts))
}

// line takes one line that the attempt logged.
func (a *attempt) line(level hclog.Level, msg string, args []string) {
	line := task.LogLine{At: now(), Attempt: a.n, Level: level.String(), Message: clipLine(msg)}
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
	a.log(line)
}

func clipLine(s string) string {
	if len(s) > maxLogLine {
		s = s[:maxLogLine] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// log takes one line; it never waits for the store.
func (a *attempt) log(line task.LogLine) {
	a.noteMu.Lock()
	if a.fenced {
		a.noteMu.Unlock()
		a.e.ignored.Add(1)
		return
	}
	if a.lineCount > maxLogLines || a.logBytes > maxLogBytes {
		a.noteMu.Unlock()
		return
	}
	a.lineCount++
	a.logBytes += len(line.Message)
	for k, v := range line.Fields {
		a.logBytes += len(k) + len(v)
	}
	if a.lineCount > maxLogLines || a.logBytes > maxLogBytes {
		line = task.LogLine{At: line.At, Attempt: line.Attempt, Level: "warn", Message: "this attempt has logged as much as is kept; further lines are dropped"}
	}
	line.Seq = int64(line.Attempt)*seqPerAttempt + a.lineBase + a.lineCount
	first := a.mark()
	a.lines = append(a.lines, line)
	a.noteMu.Unlock()
	if first {
		a.e.markDirty(a)
	}
	a.e.hub.publish(a.id, task.Update{Log: &line})
}

// writeLogs puts what was logged on record. Lines are lost, and that is said in
// the host's log, if the store cannot take them.
func (a *attempt) writeLogs() {
	a.noteMu.Lock()
	lines := a.lines
	a.lines = nil
	a.noteMu.Unlock()
	if len(lines) == 0 {
		return
	}
	if err := a.e.store.AppendLogs(context.Background(), a.seq, lines); err != nil && task.CodeOf(err) != task.CodeNotFound {
		a.e.log.Warn("log lines not written", "task", a.id, "lines", len(lines), "error", err)
	}
}
