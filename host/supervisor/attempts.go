package supervisor

import "github.com/taskhost/taskhost/sdk"

// attempt is what was handed to a process, from the first call of Execute or Revert until
// that has returned and its outcome is settled. It stays with its process: after a restart
// its outcome belongs to the old one.
type attempt struct {
	token     sdk.Token
	inst      *instance
	calls     int  // Execute or Revert calls that have not returned
	suspect   bool // see sdk.Task.Suspect
	abandoned bool // it was settled before it returned: nobody waits for it, and it goes on
}

// attemptTable says where each attempt runs. Its methods need the executor's lock.
type attemptTable struct {
	byToken   map[sdk.Token]*attempt
	abandoned int // how many attempts are abandoned
}

// enter puts an attempt on inst, or joins the one of the same token wherever it runs.
func (table *attemptTable) enter(t *sdk.Task, inst *instance) *attempt {
	a := table.byToken[t.Token]
	if a == nil || a.calls == 0 {
		a = &attempt{token: t.Token, inst: inst, suspect: t.Suspect}
		table.byToken[t.Token] = a
	}
	a.calls++
	return a
}

// returned notes that a call is back; dead says that its process is.
func (table *attemptTable) returned(a *attempt, dead bool) {
	a.calls--
	if a.calls > 0 {
		return
	}
	if a.suspect && dead {
		a.inst.diedWithSuspect = true
	}
	if a.abandoned {
		table.abandoned--
		delete(table.byToken, a.token)
	}
}

// settled notes that whoever waited for the attempt does so no more, and gives the
// process to be told; nil if no process is known to have it.
func (table *attemptTable) settled(t sdk.Token) *instance {
	a := table.byToken[t]
	switch {
	case a == nil:
		return nil
	case a.calls == 0:
		delete(table.byToken, t)
	case !a.abandoned:
		a.abandoned = true
		table.abandoned++
	}
	return a.inst
}

// load is how many attempts run on one process, and how many of them are abandoned or
// suspects.
type load struct{ running, abandoned, suspects int }

// onlyAbandoned says that nothing is left but what nobody waits for.
func (l load) onlyAbandoned() bool { return l.abandoned > 0 && l.abandoned == l.running }

// loads are the processes on which anything runs.
func (table *attemptTable) loads() map[*instance]load {
	out := map[*instance]load{}
	for _, a := range table.byToken {
		if a.calls == 0 {
			continue
		}
		l := out[a.inst]
		l.running++
		if a.abandoned {
			l.abandoned++
		}
		if a.suspect {
			l.suspects++
		}
		out[a.inst] = l
	}
	return out
}

// forgetInstance drops what is remembered of a process that is gone, and says whether a suspect
// ran on it when it died.
func (table *attemptTable) forgetInstance(inst *instance) (suspect bool) {
	suspect = inst.diedWithSuspect || table.loads()[inst].suspects > 0
	for t, a := range table.byToken {
		if a.inst == inst && a.calls == 0 { // the others are about to return
			delete(table.byToken, t)
		}
	}
	return suspect
}
