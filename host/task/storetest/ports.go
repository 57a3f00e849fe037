package storetest

import (
	"reflect"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// port is the store of a test as another port that it keeps.
func port[P any](s *suite) P {
	s.Helper()
	store := s.handle()
	p, ok := store.(P)
	if !ok {
		s.Fatalf("%T does not keep the port", store)
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
		{"offers expire", offersExpire},
	})
}

// wantOffers says what a host offers at that time, by executor.
func (s *suite) wantOffers(host task.HostID, now time.Time, want ...task.Offer) {
	s.Helper()
	got, err := port[task.OfferStore](s).Offers(s.ctx, host, now)
	s.must(err)
	if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		s.Fatalf("host %q offers\n%+v, want\n%+v", host, got, want)
	}
}

func (s *suite) saveOffers(offers ...task.Offer) {
	s.Helper()
	for _, o := range offers {
		s.must(port[task.OfferStore](s).SaveOffer(s.ctx, o))
	}
}

func offers(s *suite) {
	s.wantOffers("", start)
	first := task.Offer{Host: "b", Executor: "local", Document: []byte("1")}
	fleet := task.Offer{Host: "b", Executor: "fleet", Document: []byte("2")}
	again := task.Offer{Host: "b", Executor: "local", Document: []byte("3"), Expires: start.Add(time.Hour)}
	other := task.Offer{Host: "a", Executor: "local", Document: []byte{}}
	s.saveOffers(first, fleet, again, other)
	for range 2 {
		s.wantOffers("b", start, fleet, again)
		s.wantOffers("a", start, other)
		s.wantOffers("c", start)
		s.wantOffers("", start, other, fleet, again)
		s.reopen()
	}
}

// offersExpire: what has expired is read no more, and is forgotten.
func offersExpire(s *suite) {
	at := func(host task.HostID, d time.Duration) task.Offer {
		return task.Offer{Host: host, Executor: "local", Document: []byte("x"), Expires: start.Add(d)}
	}
	short, long, never := at("a", time.Minute), at("b", time.Hour), task.Offer{Host: "c", Executor: "local", Document: []byte("x")}
	s.saveOffers(short, long, never)
	s.wantOffers("", start.Add(59*time.Second), short, long, never)
	s.wantOffers("", start.Add(time.Minute), long, never)
	s.wantOffers("a", start.Add(time.Minute))
	_, _, err := s.handle().DeleteExpired(s.ctx, start.Add(time.Minute), 10)
	s.must(err)
	s.wantOffers("", start, long, never)
	_, _, err = s.handle().DeleteExpired(s.ctx, start.Add(1000*time.Hour), 10)
	s.must(err)
	s.wantOffers("", start, never)
	err = port[task.OfferStore](s).SaveOffer(s.ctx, task.Offer{Executor: "x", Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err == nil {
		s.Fatal("an offer that expires at a time that can't be kept was saved")
	}
}
