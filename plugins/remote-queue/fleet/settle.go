package fleet

import (
	"fmt"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// endAttempt ends an attempt with o, if it has not ended. f.mu is held.
func (f *fleet) endAttempt(a *attempt, o sdk.Outcome) {
	if a.phase == ended {
		return
	}
	if a.phase == waiting {
		f.starts.withdraw(a)
	}
	a.phase = ended
	a.outcome = o
	a.forgetStart()
	a.lastNamed = f.clock.now()
	a.tellCallers(resultOf(o))
}

// withdrawAttempt ends an attempt that nobody was told to start. f.mu is held.
func (f *fleet) withdrawAttempt(a *attempt, why string) {
	f.endAttempt(a, wire.ReleasedOutcome(why))
}

// detachAttempt forgets an attempt that goes on without this host.
func (f *fleet) detachAttempt(a *attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !a.waited { // it ended just now
		return
	}
	if a.phase == waiting {
		f.starts.withdraw(a)
	}
	if f.attempts[a.token] == a {
		delete(f.attempts, a.token)
	}
	a.tellCallers(sdk.Result{}, sdk.ErrDetach)
}

// endRunningAsLost ends what workers run, of which nothing more will be heard. f.mu is held.
func (f *fleet) endRunningAsLost(to claim) {
	for _, a := range f.attempts {
		if a.phase == running {
			f.endAttempt(a, wire.LostOutcome(fmt.Sprintf("queue %q belongs to host %q now: nobody tells this one how the attempt ends", f.queueConfig.Queue, to.Name)))
		}
	}
}

// Settled forgets an attempt, and tells its worker to.
func (f *fleet) Settled(t sdk.Token) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.attempts[t]
	switch {
	case a == nil: // let go, or forgotten already
	case a.phase == ended:
		if a.peer != (wire.Peer{}) {
			f.queueItem(a.peer, &wire.Item{Kind: wire.KindAck, Token: t})
		}
		f.forgetAttempt(t)
	default: // nobody waits for it any more
		if a.phase != waiting {
			f.queueItem(a.peer, &wire.Item{Kind: wire.KindRefuse, Token: t, Text: "the task is settled without this attempt"})
		}
		f.endAttempt(a, wire.LostOutcome("the host settled the attempt before it ended"))
		f.forgetAttempt(t)
	}
}

// forgetAttempt forgets a token. f.mu is held.
func (f *fleet) forgetAttempt(t sdk.Token) {
	delete(f.attempts, t)
	if f.clock.now() <= time.Duration(f.queueConfig.Rejoin) {
		f.forgottenTokens[t] = struct{}{}
	}
}
