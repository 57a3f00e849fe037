package remotequeue

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// status is why nothing can run, for those who ask. Its methods that change it say
// whether the answer became another one.
type status struct {
	mu     sync.Mutex
	broker trouble // it cannot be reached
	claim  trouble // it does not say whose the queue is
	setUp  trouble // it refuses what the queue needs
	other  *claim  // whose the queue is, if not this process's
	same   bool    // … though its host's id is the same
	seen   time.Time
}

// trouble is what does not work; none if why is empty.
type trouble struct {
	why   string
	since time.Time
}

// note keeps since when there is trouble, and the latest reason.
func (t *trouble) note(why string) (changed bool) {
	changed = (t.why == "") != (why == "")
	if changed {
		t.since = time.Now()
	}
	t.why = why
	return changed
}

func (s *status) away(why string) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broker.note(why)
}

func (s *status) claimed(err error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claim.note(text(err))
}

func (s *status) made(err error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setUp.note(text(err))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// belongs notes whose the queue is, and when that was last renewed; nil is this process.
func (s *status) belongs(to *claim, same bool, seen time.Time) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = (s.other == nil) != (to == nil)
	s.other = nil
	if to != nil {
		c := *to
		s.other, s.same, s.seen = &c, same, seen
	}
	return changed
}

// unavailable says why the fleet can run nothing, and what to do; "" if it can.
func (f *fleet) unavailable() string {
	s := &f.status
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broker.why != "":
		return fmt.Sprintf("the broker%s cannot be reached since %s: %s", f.conf.brokerName(), stamp(s.broker.since), s.broker.why)
	case s.other != nil:
		what := "choose another queue in this executor's config, or stop that host"
		if s.same {
			what = "it runs on a copy of this data directory: stop it, or remove host-id from one of the two and choose another queue there"
		}
		return fmt.Sprintf("queue %q on this broker belongs to host %q (%.8s), seen %s ago: %s",
			f.names.queue, s.other.Name, s.other.Host, time.Since(s.seen).Round(time.Second), what)
	case f.owner.sure() && s.setUp.why != "":
		return fmt.Sprintf("the broker%s refuses what queue %q needs since %s: %s", f.conf.brokerName(), f.names.queue, stamp(s.setUp.since), s.setUp.why)
	case f.owner.sure():
		return ""
	case s.claim.why != "":
		return fmt.Sprintf("the broker%s does not say whose queue %q is since %s: %s", f.conf.brokerName(), f.names.queue, stamp(s.claim.since), s.claim.why)
	}
	return fmt.Sprintf("whose queue %q is on this broker is not known yet", f.names.queue)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// brokerName is the broker's address, without its secrets.
func (c *config) brokerName() string {
	if c.URL == "" {
		return ""
	}
	var all []string
	for _, one := range brokerURLs(c.URL) {
		all = append(all, one.Scheme+"://"+one.Host)
	}
	return " at " + strings.Join(all, ", ")
}

// brokerURLs takes a list of brokers apart; one that cannot be read is left out.
func brokerURLs(list string) (all []*url.URL) {
	for _, one := range strings.Split(list, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		if u, err := url.Parse(one); err == nil {
			all = append(all, u)
		}
	}
	return all
}
