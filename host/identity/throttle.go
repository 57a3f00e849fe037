package identity

import (
	"net/netip"
	"time"
)

const (
	// freeGuesses is how many wrong secrets an address may send before it is slowed.
	freeGuesses = 5
	// firstDelay doubles with every further one, up to maxDelay.
	firstDelay = 100 * time.Millisecond
	maxDelay   = 5 * time.Second
	// forgetAfter is how long an address must have been quiet for its guesses to be forgotten.
	forgetAfter = 10 * time.Minute
	// maxGuessers bounds how many addresses are remembered.
	maxGuessers = 10_000
)

// guesser is an address that sent wrong secrets.
type guesser struct {
	wrong int
	last  time.Time
}

// throttle says how long the answer to a wrong secret is held back, by the address that it
// came from. It slows who guesses, and nobody who knows a secret.
type throttle struct {
	by map[netip.Addr]guesser
}

// wrong notes a wrong secret, and says for how long its answer is to be held back.
func (t *throttle) wrong(from netip.Addr, now time.Time) time.Duration {
	from = subscriber(from)
	if t.by == nil {
		t.by = map[netip.Addr]guesser{}
	}
	g := t.by[from]
	if now.Sub(g.last) > forgetAfter {
		g.wrong = 0
	}
	if _, known := t.by[from]; !known && len(t.by) >= maxGuessers {
		t.forget(now)
	}
	g.wrong++
	g.last = now
	t.by[from] = g
	return delayOf(g.wrong)
}

func delayOf(wrong int) time.Duration {
	over := wrong - freeGuesses
	if over <= 0 {
		return 0
	}
	return min(maxDelay, firstDelay<<min(over-1, 10))
}

// forget makes room, by those that are quiet and else by any: half of all, so that it is
// seldom done, however many addresses someone has.
func (t *throttle) forget(now time.Time) {
	for a, g := range t.by {
		if now.Sub(g.last) > forgetAfter {
			delete(t.by, a)
		}
	}
	for a := range t.by {
		if len(t.by) <= maxGuessers/2 {
			return
		}
		delete(t.by, a)
	}
}

// subscriber is what stands for all addresses that one subscriber of IPv6 has: the first 64 bits.
func subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
