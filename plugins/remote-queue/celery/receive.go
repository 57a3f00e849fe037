package celery

import (
	"fmt"
	"time"
)

// handleReply takes what a worker says of a message. A final reply is acknowledged once what
// it says is on record; one that nobody waits for, at once: it is late, or came twice.
func (e *executor) handleReply(r reply, ack func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.attempts[r.TaskID]
	switch {
	case a == nil && r.final() && e.mayBeRejoined(r.TaskID):
		before := e.early[r.TaskID].ack
		e.early[r.TaskID] = heardReply{r, both(before, ack)}
		return
	case a == nil:
		ack()
		return
	case r.final() && a.final != nil: // again, or delivered anew on another connection
		a.final.ack = both(a.final.ack, ack)
		return
	case r.final():
		a.final = &heardReply{r, ack}
	default:
		ack()
		a.noteProgress(&r, e)
	}
	a.wake()
}

func both(f, g func()) func() {
	if f == nil {
		return g
	}
	return func() { f(); g() }
}

// mayBeRejoined says that a message may be an attempt's that the host joins soon. e.mu is held.
func (e *executor) mayBeRejoined(id string) bool {
	_, published := e.published.at(id)
	return published || time.Since(e.opened) < time.Duration(e.queueConfig.Rejoin)
}

// noteProgress keeps what a reply says that ends nothing. e.mu is held.
func (a *attempt) noteProgress(r *reply, e *executor) {
	switch r.Status {
	case stateStarted:
		e.noteStart(a, r.startedOn())
	case stateRetry:
		x := r.exception()
		a.on = handle{} // it waits in a queue again, or in a worker that has not acknowledged it
		text := "Celery runs the task again by itself: " + x.String()
		if len(a.notes) < maxNotes {
			a.notes = append(a.notes, text)
		}
		p := progress{message: text}
		if a.lastProgress != nil {
			p.done, p.total = a.lastProgress.done, a.lastProgress.total
		}
		a.progress = &p
		a.ran = true
	default:
		p := r.progress()
		a.progress = &p
		a.lastProgress = &p
		a.ran = true
	}
}

// noteStart keeps that a worker runs the attempt. e.mu is held.
func (e *executor) noteStart(a *attempt, name string) {
	e.tellStart[a.typ] = true
	a.ran = true
	if name == "" || len(name) > maxName {
		return
	}
	a.on = handle{Worker: name}
	if w := e.workers[name]; w != nil && !w.gone {
		a.on.Process = w.process
	}
}

// handleEvent takes what a worker tells of itself or of a task.
func (e *executor) handleEvent(ev event) {
	switch ev.Type {
	case "worker-online", "worker-heartbeat":
		if e.noteWorker(ev) {
			e.cfg.Changed()
		}
	case "worker-offline":
		e.mu.Lock()
		w := e.workers[ev.Hostname]
		changed := w != nil && !w.gone && w.process == ev.PID
		if changed {
			w.gone = true
			w.leaving = true
			w.goneAt = time.Now()
		}
		e.mu.Unlock()
		if changed {
			e.log.Info("worker left", "worker", ev.Hostname)
			e.cfg.Changed()
		}
	case "task-started":
		e.mu.Lock()
		defer e.mu.Unlock()
		if a := e.attempts[ev.UUID]; a != nil {
			e.noteStart(a, ev.Hostname)
			a.wake()
		}
	}
}

// noteWorker keeps that a worker was heard; true if what is offered changes. Attempts that an
// earlier process of its name ran are lost.
func (e *executor) noteWorker(ev event) (changed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.workers[ev.Hostname]
	switch {
	case w == nil && len(e.workers) >= maxWorkers:
		return false
	case w == nil || w.process != ev.PID || w.startedAnew(&ev):
		if w == nil || !w.leaving {
			again := w != nil && w.process == ev.PID
			e.endAttemptsOn(ev.Hostname, func(process int64) bool { return process != 0 && (again || process != ev.PID) }, fmt.Sprintf("worker %s was started anew while it ran the attempt", ev.Hostname))
		}
		w = &worker{name: ev.Hostname, process: ev.PID, version: ev.softwareVersion()}
		e.workers[ev.Hostname] = w
		e.askWorker(w)
		changed = true
	case w.gone:
		w.gone = false
		w.leaving = false
		e.askWorker(w)
		changed = true
	}
	w.heard = time.Now()
	w.active = int(max(ev.Active, 0))
	if ev.Processed != nil {
		w.processed = *ev.Processed
	}
	if !w.described() && time.Since(w.asked) > askEvery {
		e.askWorker(w)
	}
	return changed
}

// expectWorker has the silence of a worker noticed that an earlier process of the host heard.
// e.mu is held.
func (e *executor) expectWorker(on handle) {
	if on.Worker != "" && e.workers[on.Worker] == nil && len(e.workers) < maxWorkers {
		e.workers[on.Worker] = &worker{name: on.Worker, process: on.Process, heard: time.Now()}
	}
}

// endAttemptsOn ends what processes of a worker ran. e.mu is held.
func (e *executor) endAttemptsOn(name string, which func(process int64) bool, why string) {
	for _, a := range e.attempts {
		if a.on.Worker == name && which(a.on.Process) && a.final == nil && a.lost == "" {
			a.lost = why
			a.wake()
		}
	}
}
