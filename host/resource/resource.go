// Package resource is the rules of resources: names that tasks hold for themselves or
// share with others, first come first served, from before they start until they are
// final. It does no I/O and has no clock; a store keeps who holds what by the port Store.
package resource

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Mode is how a task holds a resource.
type Mode uint8

// The modes. They are stored: a number is never used again for another.
const (
	Shared    Mode = iota + 1 // with others who share it
	Exclusive                 // alone
)

// String is the mode's name in the API.
func (m Mode) String() string {
	if m == Exclusive {
		return "exclusive"
	}
	return "shared"
}

// MarshalText gives the mode's name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Fits says whether one that asks for a resource in mode next may have it beside those
// that hold it: held of them, all in the mode last (they can't differ). Who asks before
// others have what they asked for earlier never may: the queue's order is its store's to keep.
func Fits(held int64, last, next Mode) bool {
	return held == 0 || last == Shared && next == Shared
}

// Grant is how many of those that wait for a resource, in the order of their coming, get
// it now. A waiting exclusive holds back whoever came after it, so that none starves.
func Grant(held int64, last Mode, waiting []Mode) (n int) {
	for _, next := range waiting {
		if !Fits(held, last, next) {
			break
		}
		held++
		last = next
		n++
	}
	return n
}

// Claim is one task's hold of a resource, or its place in the queue for it.
type Claim struct {
	Task task.ID
	Mode Mode
	// Since is when the task got the resource, or when it came to the queue.
	Since time.Time
}

// Resource is a name that tasks hold or wait for. A name that nobody holds or waits for
// does not exist.
type Resource struct {
	Owner string
	Name  string
	// Holders and Queue are the first of them, in the order of their coming.
	Holders, Queue []Claim
	// Held and Waiting are how many there are of each.
	Held, Waiting int64
}
