package engine

import "time"

// NoPolls leaves the engine with nothing but its wake-ups. Call it before Start.
func (e *Engine) NoPolls() {
	e.polls = polls{dispatch: time.Hour, promote: time.Hour, retire: time.Hour, signals: time.Hour, schedules: time.Hour}
}

// LookAtSchedules has the loop of schedules look, as its poll does: a test sets the clock.
func (e *Engine) LookAtSchedules() { e.wakeSchedules() }

// ComingEnds is how many ends of attempts wait to be written.
func (e *Engine) ComingEnds() int {
	e.settlements.mu.Lock()
	defer e.settlements.mu.Unlock()
	if e.settlements.coming == nil {
		return 0
	}
	return len(e.settlements.coming.ends)
}

// LookAtSignals has the loop of signals look, as its poll does.
func (e *Engine) LookAtSignals() { e.wakeSignals() }

// Asking is how many wait at the board for tasks, and have none.
func (e *Engine) Asking() int { return len(e.board.Asks()) }

// IdleRunners is how many goroutines wait for an attempt to run.
func (e *Engine) IdleRunners() int {
	e.runners.mu.Lock()
	defer e.runners.mu.Unlock()
	return len(e.runners.idle)
}

// TrimRunners ends those that nothing needed since it was called last, as their loop does.
func (e *Engine) TrimRunners() { e.runners.trim() }
