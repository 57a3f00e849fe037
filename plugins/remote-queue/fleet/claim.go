package fleet

import (
	"errors"
	"sync/atomic"
	"time"
)

var (
	errQueueNotOwned = errors.New("the queue is not surely this host's")
	errBrokerAway    = errors.New("the broker is away")
)

// claim is who serves a queue, as it stands in the broker.
type claim struct {
	// Host is the id that a host keeps in its data directory, and Process is one process
	// of it, at random.
	Host    string `json:"host"`
	Process string `json:"process"`
	// Name is the machine's, for people.
	Name string `json:"name"`
	// Generation is one more with each process that takes the queue.
	Generation uint64 `json:"generation"`
	// Lease is for how long the claim may go unrenewed before another may take the queue.
	Lease time.Duration `json:"lease"`
}

// owner sees to it that one process of one host serves the queue. The claim in the
// broker is written by compare-and-set alone, and each renewal is one: whoever took
// the queue in between is noticed by the renewal that fails. For a while after a
// renewal the queue is surely this process's; without one it is nobody's that this
// process could tell, and it neither hears, answers nor publishes anything.
//
// A claim that is not renewed for its lease may be taken, and at once where it is of an
// earlier process of this host; in both cases only if its process does not answer.
type owner struct {
	fleet  *fleet
	hostID string

	// renewEvery is the time between renewals, and validFor for how long one is good. The
	// lease that others wait for is longer.
	renewEvery time.Duration
	validFor   time.Duration
	wakeUp     chan struct{}

	// confirmedAt is when the last good renewal was asked for; nil if none is good.
	confirmedAt atomic.Pointer[time.Time]
	// claimed says that the claim is this process's, as far as it knows.
	claimed atomic.Bool

	// What follows belongs to the goroutine of run.

	// ownClaim is what this process writes, and ownRevision what the broker made of it.
	ownClaim    claim
	ownRevision uint64
	// otherClaim is the last claim of another, as it was at otherRevision. It was first
	// read at otherRenewedAt, by the clock, which counts the time in which the broker could
	// be asked; and at otherRenewedTime.
	otherClaim       claim
	otherRevision    uint64
	otherRenewedAt   time.Duration
	otherRenewedTime time.Time
	// liveRival is a process that lives beside this one, whatever its host's id.
	liveRival string
	clock     lapseClock
	lastLook  time.Time
}
