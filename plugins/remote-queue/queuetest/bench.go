package queuetest

import (
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// BenchInput is the input of each task of a benchmark, as JSON.
const BenchInput = `{"import_from":"https://images.example.org/small.qcow2","n":1234567}`

// BenchToken is the n-th token of a benchmark.
func BenchToken(n uint64) (t sdk.Token) {
	binary.BigEndian.PutUint64(t[:], n)
	return t
}

// ReportBench gives the rate and, since that depends on what else the machine does, the
// processor time of a task.
func ReportBench(b *testing.B, before time.Duration) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64((CPUTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/task")
}

// CPUTime is what this process has used of the processors.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
