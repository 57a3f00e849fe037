package fleet

import (
	"fmt"
	"time"
)

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
