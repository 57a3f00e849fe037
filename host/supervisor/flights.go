package supervisor

import "github.com/taskhost/taskhost/sdk"

// flight is an attempt that was handed to a process, until it has returned and is
// settled there: after a restart its outcome belongs to the old process.
type flight struct {
	inst    *instance
	calls   int  // of Execute or Revert that have not returned
	suspect bool // see sdk.Task.Suspect
	givenUp bool // settled before it returned: nobody waits for it, but it goes on
}

// board says where each attempt runs. Its methods need the executor's lock.
type board struct {
	flights map[sdk.Token]*flight
	givenUp int // flights that are
}

// begin enters an attempt on inst, or joins the one of the same token wherever it runs.
func (b *board) begin(t sdk.Task, inst *instance) *instance {
	f := b.flights[t.Token]
	if f == nil || f.calls == 0 {
		f = &flight{inst: inst, suspect: t.Suspect}
		b.flights[t.Token] = f
	}
	f.calls++
	return f.inst
}

// returned notes that a call is back; dead says that its process is.
func (b *board) returned(t sdk.Token, dead bool) {
	f := b.flights[t]
	if f == nil {
		return
	}
	f.calls--
	if f.calls > 0 {
		return
	}
	if f.suspect && dead {
		f.inst.suspectDied = true
	}
	if f.givenUp {
		b.givenUp--
		delete(b.flights, t)
	}
}

// settled notes that whoever waited for the attempt does so no more, and gives the
// process to be told; nil if no process is known to have it.
func (b *board) settled(t sdk.Token) *instance {
	f := b.flights[t]
	switch {
	case f == nil:
		return nil
	case f.calls == 0:
		delete(b.flights, t)
	case !f.givenUp:
		f.givenUp = true
		b.givenUp++
	}
	return f.inst
}

// load is what runs on one process.
type load struct{ running, givenUp, suspects int }

// alone says that nothing is left but what nobody waits for.
func (l load) alone() bool { return l.givenUp > 0 && l.givenUp == l.running }

// loads are the processes on which anything runs.
func (b *board) loads() map[*instance]load {
	out := map[*instance]load{}
	for _, f := range b.flights {
		if f.calls == 0 {
			continue
		}
		l := out[f.inst]
		l.running++
		if f.givenUp {
			l.givenUp++
		}
		if f.suspect {
			l.suspects++
		}
		out[f.inst] = l
	}
	return out
}

// bury drops what is remembered of a process that is gone, and says whether a suspect
// ran on it when it died.
func (b *board) bury(inst *instance) (suspect bool) {
	suspect = inst.suspectDied || b.loads()[inst].suspects > 0
	for t, f := range b.flights {
		if f.inst == inst && f.calls == 0 { // the others are about to return
			delete(b.flights, t)
		}
	}
	return suspect
}
