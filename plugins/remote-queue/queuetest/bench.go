package queuetest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// ChildrenCPUTime is what the processes that this one started, and that still run, have used of
// the processors, to a hundredth of a second; 0 where the system does not tell.
func ChildrenCPUTime() (sum time.Duration) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		pids, _ := os.ReadFile(list) // of a thread that has ended there are none
		for _, pid := range strings.Fields(string(pids)) {
			stat, _ := os.ReadFile("/proc/" + pid + "/stat")
			sum += cpuTimeIn(string(stat))
		}
	}
	return sum
}

// cpuTimeIn is user and system time of a line of /proc/PID/stat, which follow eleven fields
// after the name in brackets, in hundredths of a second.
func cpuTimeIn(stat string) (sum time.Duration) {
	_, rest, _ := strings.Cut(stat, ") ")
	fields := strings.Fields(rest)
	for _, ticks := range fields[min(11, len(fields)):min(13, len(fields))] {
		n, _ := strconv.Atoi(ticks)
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}
