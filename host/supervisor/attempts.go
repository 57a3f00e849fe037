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
	byToken map[sdk.Token]*attempt
	stuck   map[*instance]struct{} // those on which abandoned attempts go on
}

func newAttemptTable() attemptTable {
	return attemptTable{byToken: map[sdk.Token]*attempt{}, stuck: map[*instance]struct{}{}}
}

// enter puts an attempt on inst, or joins the one of the same token wherever it runs.
func (table *attemptTable) enter(t *sdk.Task, inst *instance) *attempt {
	a := table.byToken[t.Token]
	if a == nil || a.calls == 0 {
		a = &attempt{token: t.Token, inst: inst, suspect: t.Suspect}
		table.byToken[t.Token] = a
		inst.load.running++
		if a.suspect {
			inst.load.suspects++
		}
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
	on := &a.inst.load
	on.running--
	if a.suspect {
		on.suspects--
		a.inst.diedWithSuspect = a.inst.diedWithSuspect || dead
	}
	if a.abandoned {
		if on.abandoned--; on.abandoned == 0 {
			delete(table.stuck, a.inst)
		}
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
		a.inst.load.abandoned++
		table.stuck[a.inst] = struct{}{}
	}
	return a.inst
}

// load is how many attempts run on one process, and how many of them are abandoned or
// suspects.
type load struct{ running, abandoned, suspects int }

// onlyAbandoned says that nothing is left but what nobody waits for.
func (l load) onlyAbandoned() bool { return l.abandoned > 0 && l.abandoned == l.running }

// forgetInstance drops what is remembered of a process that is gone, and says whether a suspect
// ran on it when it died.
func (table *attemptTable) forgetInstance(inst *instance) (suspect bool) {
	suspect = inst.diedWithSuspect || inst.load.suspects > 0
	for t, a := range table.byToken {
		if a.inst == inst && a.calls == 0 { // the others are about to return
			delete(table.byToken, t)
		}
	}
	return suspect
}
