package fleet

import (
	"fmt"
	"sync"
	"time"
)

// status is why nothing can run, for those who ask. Its methods that change it say
// whether the answer became another one.
type status struct {
	mu           sync.Mutex
	broker       problem // it cannot be reached
	claim        problem // it does not say whose the queue is
	setUp        problem // it refuses what the queue needs
	otherOwner   *claim  // whose the queue is, if not this process's
	sameHostID   bool    // … though its host's id is the same
	otherRenewed time.Time
}

// problem is what does not work; none if why is empty.
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

func (s *status) noteBroker(why string) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broker.note(why)
}

func (s *status) noteClaim(err error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claim.note(errorText(err))
}

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

// unavailableReason says why the fleet can run nothing, and what to do; "" if it can.
func (f *fleet) unavailableReason() string {
	s := &f.status
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broker.reason != "":
		return fmt.Sprintf("the broker%s cannot be reached since %s: %s", f.queueConfig.BrokerAddress(), timestamp(s.broker.since), s.broker.reason)
	case s.otherOwner != nil:
		what := "choose another queue in this executor's config, or stop that host"
		if s.sameHostID {
			what = "it runs on a copy of this data directory: stop it, or remove host-id from one of the two and choose another queue there"
		}
		return fmt.Sprintf("queue %q on this broker belongs to host %q (%.8s), seen %s ago: %s",
			f.queueConfig.Queue, s.otherOwner.Name, s.otherOwner.Host, time.Since(s.otherRenewed).Round(time.Second), what)
	case f.owner.ownsQueue() && s.setUp.reason != "":
		return fmt.Sprintf("the broker%s refuses what queue %q needs since %s: %s", f.queueConfig.BrokerAddress(), f.queueConfig.Queue, timestamp(s.setUp.since), s.setUp.reason)
	case f.owner.ownsQueue():
		return ""
	case s.claim.reason != "":
		return fmt.Sprintf("the broker%s does not say whose queue %q is since %s: %s", f.queueConfig.BrokerAddress(), f.queueConfig.Queue, timestamp(s.claim.since), s.claim.reason)
	}
	return fmt.Sprintf("whose queue %q is on this broker is not known yet", f.queueConfig.Queue)
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
