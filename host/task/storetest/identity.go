package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// RunIdentity holds a store against identity.Store.
func RunIdentity[S interface {
	task.Store
	identity.Store
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"a token comes back", tokenComesBack},
		{"names of tokens", tokenNames},
		{"events", auditEvents},
	})
}

func (s *suite) token(name, owner string) identity.Token {
	s.Helper()
	var random [identity.SecretBytes]byte
	copy(random[:], name+owner)
	t, err := identity.NewToken(id(), identity.Spec{Name: name, Owner: owner, Role: identity.Member, ExpiresAt: start.Add(time.Hour)}, identity.Secret(random), start)
	s.must(err)
	s.must(port[identity.Store](s).InsertToken(s.ctx, t))
	return t
}

func (s *suite) tokens() []identity.Token {
	s.Helper()
	all, err := port[identity.Store](s).Tokens(s.ctx)
	s.must(err)
	return all
}

func tokenComesBack(s *suite) {
	first := s.token("one", "ann")
	second := s.token("two", "ann")
	s.reopen()
	if got := s.tokens(); !slices.Equal(got, []identity.Token{second, first}) {
		s.Fatalf("got %+v, want %+v and %+v", got, second, first)
	}
	first.UsedAt = start.Add(time.Minute)
	s.must(port[identity.Store](s).UseTokens(s.ctx, map[task.ID]time.Time{first.ID: first.UsedAt}))
	s.must(port[identity.Store](s).DeleteToken(s.ctx, second.ID))
	s.wantCode(port[identity.Store](s).DeleteToken(s.ctx, second.ID), task.CodeNotFound)
	if got := s.tokens(); !slices.Equal(got, []identity.Token{first}) {
		s.Fatalf("got %+v, want %+v", got, first)
	}
}

func tokenNames(s *suite) {
	t := s.token("one", "ann")
	s.token("one", "bob")
	again := t
	again.ID = id()
	again.Hash[0]++
	s.wantCode(port[identity.Store](s).InsertToken(s.ctx, again), task.CodeConflict)
	if got := len(s.tokens()); got != 2 {
		s.Fatalf("%d tokens, want 2", got)
	}
}

func auditEvents(s *suite) {
	var all []identity.Event
	for i := range 5 {
		e := identity.Event{ID: id(), At: start.Add(time.Duration(i) * time.Minute), Name: "laptop", Owner: "ann", Role: identity.Member, By: identity.ByToken, Token: id(),
			Address: "192.0.2.1", RequestID: "r1", Action: "cancelTask", Target: "/v1/tasks/1/cancel", Status: 202}
		if i == 3 {
			e.Owner, e.Action, e.Name = "bob", "submitTask", "ci"
			e.By, e.Token = identity.ByProxy, task.ID{}
		}
		all = append(all, e)
	}
	s.must(port[identity.Store](s).AppendEvents(s.ctx, all))
	s.reopen()
	slices.Reverse(all)
	list := func(f identity.Filter) identity.Page {
		p, err := port[identity.Store](s).Events(s.ctx, f)
		s.must(err)
		return p
	}
	for name, c := range map[string]struct {
		filter identity.Filter
		want   []identity.Event
	}{
		"all":    {identity.Filter{}, all},
		"owner":  {identity.Filter{Owner: "bob"}, all[1:2]},
		"action": {identity.Filter{Action: "cancelTask"}, append(all[:1:1], all[2:]...)},
		"name":   {identity.Filter{Name: "ci"}, all[1:2]},
		"after":  {identity.Filter{After: all[2].At}, all[:2]},
		"before": {identity.Filter{Before: all[2].At}, all[3:]},
	} {
		if got := list(c.filter); !slices.Equal(got.Events, c.want) || !got.Next.IsZero() {
			s.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	first := list(identity.Filter{Limit: 3})
	second := list(identity.Filter{Limit: 3, Cursor: first.Next})
	if got := append(first.Events, second.Events...); !slices.Equal(got, all) || !second.Next.IsZero() {
		s.Errorf("two pages: got %+v", got)
	}
	for _, want := range []int{1, 1, 0} {
		n, err := port[identity.Store](s).ForgetEvents(s.ctx, all[2].At, 1)
		s.must(err)
		if n != want {
			s.Fatalf("forgot %d, want %d", n, want)
		}
	}
	if got := list(identity.Filter{}); !slices.Equal(got.Events, all[:3]) {
		s.Errorf("after the old ones are forgotten: %+v", got)
	}
}
