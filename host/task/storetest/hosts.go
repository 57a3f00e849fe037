package storetest

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// RunHosts holds a store against task.HostStore, as one host sees it.
func RunHosts[S interface {
	task.Store
	task.HostStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"runs of a host", runsOfAHost},
		{"attempts of a host", attemptsOfAHost},
		{"lease", lease},
	})
}

func (s *suite) host() task.Host {
	s.Helper()
	return port[task.HostStore](s).Host()
}

// runsOfAHost: a host keeps its id over restarts, and each run has a higher epoch.
func runsOfAHost(s *suite) {
	first := s.host()
	if first.ID == "" || first.Epoch == 0 {
		s.Fatalf("the first run is %+v", first)
	}
	last := first.Epoch
	for range 3 {
		s.reopen()
		h := s.host()
		if h.ID != first.ID || h.Epoch <= last {
			s.Fatalf("after the run %d of host %q came %+v", last, first.ID, h)
		}
		last = h.Epoch
	}
}

// attemptsOfAHost: what an attempt holds is in flight by its host, and by no other,
// however it began, until it ends, also for the host's next run.
func attemptsOfAHost(s *suite) {
	claimed := s.run(task.Spec{})
	inserted := s.make(task.Spec{})
	*inserted = task.Begin(inserted, "local", newToken(), false, start).Task
	s.put(inserted)
	done := s.run(task.Spec{})
	s.succeed(done)
	s.insert(task.Spec{})
	for range 2 {
		for host, want := range map[task.HostID]int{s.host().ID: 2, "": 2, "another": 0} {
			ts, err := s.handle().InFlight(s.ctx, host, 0, 10)
			s.must(err)
			if len(ts) != want {
				s.Fatalf("%d tasks are in flight by host %q, want %d", len(ts), host, want)
			}
		}
		s.reopen()
	}
	s.succeed(claimed)
	s.succeed(*inserted)
	if ts, err := s.handle().InFlight(s.ctx, s.host().ID, 0, 10); err != nil || len(ts) != 0 {
		s.Fatalf("in flight are still %v, %v", ids(ts), err)
	}
}

// lease: a host that renews its lease is not fenced, and one that is closed can't.
func lease(s *suite) {
	s.run(task.Spec{})
	for range 3 {
		s.must(port[task.HostStore](s).RenewLease(s.ctx, time.Minute))
		lapsed, err := port[task.HostStore](s).FenceLapsed(s.ctx)
		s.must(err)
		if len(lapsed) != 0 {
			s.Fatalf("hosts %v are fenced, and there is but this one", lapsed)
		}
	}
	closed := port[task.HostStore](s)
	s.reopen()
	s.wantCode(closed.RenewLease(s.ctx, time.Minute), task.CodeStoreUnavailable)
	s.must(port[task.HostStore](s).RenewLease(s.ctx, time.Minute))
}
