package task_test

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// The change of the common end of an attempt, as it is kept among others to be written.
func BenchmarkSettle(b *testing.B) {
	n := running()
	o := task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("null"), ResultType: "application/json"}
	now := start.Add(time.Minute)
	changes := make([]task.Change, 500)
	b.ReportAllocs()
	for i := range b.N {
		c, err := task.Settle(&n, &o, backoff, now, 0)
		if err != nil {
			b.Fatal(err)
		}
		changes[i%len(changes)] = c
	}
}
