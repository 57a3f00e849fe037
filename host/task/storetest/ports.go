package storetest

import (
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// port is the store of a test as another port that it keeps.
func port[P any](s *suite) P {
	s.Helper()
	p, ok := s.store.(P)
	if !ok {
		s.Fatalf("%T does not keep the port", s.store)
	}
	return p
}

// opens is open for a suite: the store's other ports are asked for as they are needed.
func opens[S task.Store](open func(*testing.T, string) S) Open {
	return func(t *testing.T, dir string) task.Store { return open(t, dir) }
}

// RunOffers holds a store against task.OfferStore.
func RunOffers[S interface {
	task.Store
	task.OfferStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"offers", offers},
	})
}

func offers(s *suite) {
	store := port[task.OfferStore](s)
	if got, err := store.Offers(s.ctx); err != nil || len(got) != 0 {
		s.Fatalf("offers of a new store: %v, %v", got, err)
	}
	s.must(store.SaveOffer(s.ctx, "local", []byte("1")))
	s.must(store.SaveOffer(s.ctx, "fleet", []byte("2")))
	s.must(store.SaveOffer(s.ctx, "local", []byte("3")))
	s.reopen()
	got, err := port[task.OfferStore](s).Offers(s.ctx)
	s.must(err)
	if len(got) != 2 || string(got["local"]) != "3" || string(got["fleet"]) != "2" {
		s.Fatalf("offers %v", got)
	}
}

// RunHosts holds a store against task.HostStore.
func RunHosts[S interface {
	task.Store
	task.HostStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"epochs rise", epochsRise},
	})
}

func epochsRise(s *suite) {
	last := uint64(0)
	for range 3 {
		epoch := port[task.HostStore](s).Epoch()
		if epoch <= last {
			s.Fatalf("the epoch went from %d to %d: it must rise at every open", last, epoch)
		}
		last = epoch
		s.reopen()
	}
}
