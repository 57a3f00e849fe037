package fleet

import (
	"sync"
	"time"
)

// status is why nothing can run, for those who ask. Its methods that change it say
// whether the answer became another one. They may be called at any time, also with the
// fleet's mu held.
type status struct {
	mu sync.Mutex
	// broker is a problem if the broker cannot be reached, claim if it does not say whose
	// the queue is, and setUp if it refuses what the queue needs.
	broker problem
	claim  problem
	setUp  problem
	// otherOwner is whose the queue is, if not this process's, with when that was last
	// renewed. sameHostID says that it has this host's id: one of the two is a copy.
	otherOwner   *claim
	otherRenewed time.Time
	sameHostID   bool
}

// problem is what does not work, and since when; it works if reason is empty.
type problem struct {
	reason string
	since  time.Time
}

// note keeps since when there is trouble, and the latest reason.
func (t *problem) note(why string) (changed bool) {
	changed = (t.reason == "") != (why == "")
	if changed {
		t.since = time.Now()
	}
	t.reason = why
	return changed
}

// noteBroker notes why the broker cannot be reached; empty if it can.
func (s *status) noteBroker(why string) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broker.note(why)
}

// brokerAwayFor is for how long the broker could not be reached; 0 if it can be.
func (s *status) brokerAwayFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broker.reason == "" {
		return 0
	}
	return time.Since(s.broker.since)
}

// noteClaim notes why the broker does not say whose the queue is.
func (s *status) noteClaim(err error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claim.note(errorText(err))
}

// noteSetUp notes why the broker refuses what the queue needs.
func (s *status) noteSetUp(err error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setUp.note(errorText(err))
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// noteOwner notes whose the queue is, and when that was last renewed; nil is this process.
func (s *status) noteOwner(to *claim, same bool, seen time.Time) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = (s.otherOwner == nil) != (to == nil)
	s.otherOwner = nil
	if to != nil {
		c := *to
		s.otherOwner, s.sameHostID, s.otherRenewed = &c, same, seen
	}
	return changed
}
