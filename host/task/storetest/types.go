package storetest

import (
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// RunTypes holds a store against task.TypeStore.
func RunTypes[S interface {
	task.Store
	task.TypeStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{{"what is said of types", saidOfTypes}})
}

func saidOfTypes(s *suite) {
	types := func() task.TypeStore { return port[task.TypeStore](s) }
	s.must(types().PutType(s.ctx, "b", []byte(`{"one":1}`)))
	s.must(types().PauseType(s.ctx, "b", true))
	s.must(types().PutType(s.ctx, "b", []byte(`{"two":2}`))) // which leaves the pause
	s.must(types().PauseType(s.ctx, "a", true))
	s.must(types().PauseType(s.ctx, "c", true))
	s.must(types().PauseType(s.ctx, "c", false))
	s.reopen()
	got, err := types().Types(s.ctx)
	s.must(err)
	if len(got) != 2 || got[0].Name != "a" || got[0].Spec != nil || !got[0].Paused || got[1].Name != "b" || string(got[1].Spec) != `{"two":2}` || !got[1].Paused {
		s.Fatalf("got %+v", got)
	}
	s.insert(task.Spec{Type: "b"})
	s.wantCode(types().DeleteType(s.ctx, "b"), task.CodeConflict)
	t := s.claim(1)[0]
	s.wantCode(types().DeleteType(s.ctx, "b"), task.CodeConflict)
	s.succeed(t)
	s.must(types().DeleteType(s.ctx, "b"))
	s.must(types().DeleteType(s.ctx, "nothing"))
	if got, err = types().Types(s.ctx); err != nil || len(got) != 1 {
		s.Fatalf("got %+v, %v", got, err)
	}
}
