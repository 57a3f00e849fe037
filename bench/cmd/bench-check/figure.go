package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// figure is one line of the list.
type figure struct {
	pkg   string // as ./host
	name  string // of the benchmark, as BenchmarkX or BenchmarkX/sub/case
	times int    // iterations
}

// readList reads the figures that o asks for.
func readList(root string, o options) (all []figure, err error) {
	text, err := os.ReadFile(filepath.Join(root, o.list))
	if err != nil {
		return nil, err
	}
	at := 0
	for line := range strings.Lines(string(text)) {
		at++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s:%d: want package, benchmark, iterations, and what it is; got %q", o.list, at, strings.TrimSpace(line))
		}
		times, err := iterations(fields[2], o.tasks)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", o.list, at, err)
		}
		if o.figures.MatchString(fields[1]) {
			all = append(all, figure{pkg: fields[0], name: fields[1], times: times})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no benchmark that matches %q", o.list, o.figures)
	}
	return all, nil
}

// iterations is a number, or n, or n/number.
func iterations(text string, n int) (int, error) {
	if text == "n" {
		return n, nil
	}
	number, isPart := strings.CutPrefix(text, "n/")
	v, err := strconv.Atoi(number)
	if err != nil || v < 1 {
		return 0, fmt.Errorf("iterations: want a number, n or n/number; got %q", text)
	}
	if isPart {
		v = max(1, n/v)
	}
	return v, nil
}

// pattern selects the benchmark alone: each part of its name is an expression of its own.
func (f figure) pattern() string {
	return "^" + strings.ReplaceAll(f.name, "/", "$/^") + "$"
}
