package storetest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// RunInfo holds a store against task.InfoStore.
func RunInfo[S interface {
	task.Store
	task.InfoStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{{"a store tells of itself", storeInfo}})
}

// storeInfo: what a store holds is in its size, and where it is stays the same.
func storeInfo(s *suite) {
	before, err := port[task.InfoStore](s).Info(s.ctx)
	s.must(err)
	if before.Place == "" || before.Bytes <= 0 {
		s.Fatalf("an empty store is %+v", before)
	}
	const size = 4 << 20
	large := task.Spec{Input: json.RawMessage(`"` + strings.Repeat("x", size/8) + `"`)}
	s.insert(large, large, large, large, large, large, large, large)
	for range 2 {
		after, err := port[task.InfoStore](s).Info(s.ctx)
		s.must(err)
		if after.Place != before.Place || after.Bytes < size {
			s.Fatalf("with tasks of %d bytes it is %+v, and was %+v", size, after, before)
		}
		s.reopen()
	}
}
