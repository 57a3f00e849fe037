package load

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kernelVersion is the part of a kernel's release that is not its builder's.
var kernelVersion = regexp.MustCompile(`^\d+\.\d+`)

// ThisMachine tells what it runs on, as Linux says it.
func ThisMachine() (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	var err error
	if m.CPU, err = field("/proc/cpuinfo", "model name"); err != nil {
		m.CPU = runtime.GOARCH // not all of them have one
	}
	total, err := field("/proc/meminfo", "MemTotal")
	if err != nil {
		return m, err
	}
	kib, err := strconv.ParseFloat(strings.TrimSuffix(total, " kB"), 64)
	if err != nil {
		return m, fmt.Errorf("/proc/meminfo: MemTotal: %w", err)
	}
	m.MemoryGiB = float64(int(kib/(1<<20)*10)) / 10
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = kernelVersion.FindString(string(release))
	return m, err
}

// field is the value of the first line "name: value" of a file.
func field(file, name string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no %s: %w", file, name, lines.Err())
}

// loadAverage is that of the last minute.
func loadAverage() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(first, 64)
}

// fdatasync is the median time in which a page is appended to a file and made durable.
func fdatasync(path string) (time.Duration, error) {
	const times = 200
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer f.Close()
	page := make([]byte, 4096)
	took := make([]time.Duration, times)
	for i := range took {
		started := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		took[i] = time.Since(started)
	}
	slices.Sort(took)
	return took[times/2], nil
}
