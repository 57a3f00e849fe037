// Package figure runs the benchmarks of a list, each in a process of its own.
package figure

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Figure is one line of a list.
type Figure struct {
	Package string // as ./host, from the root of the tree
	Name    string // of the benchmark, as BenchmarkX or BenchmarkX/sub/case
	Times   int    // iterations
	What    string // is measured, in words
}

// longMark stands before lines that are measured only if asked for.
const longMark = "#long "

// ReadList reads the figures of a file whose name matches. N stands for n tasks in the file;
// lines behind "#long" count if long is set. The error names file and line.
func ReadList(path string, n int, long bool, matches *regexp.Regexp) (all []Figure, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	at := 0
	for line := range strings.Lines(string(text)) {
		at++
		if long {
			line = strings.TrimPrefix(line, longMark)
		}
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s:%d: want package, benchmark, iterations, and what it is; got %q", path, at, strings.TrimSpace(line))
		}
		times, err := iterations(fields[2], n)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, at, err)
		}
		if matches.MatchString(fields[1]) {
			all = append(all, Figure{fields[0], fields[1], times, strings.Join(fields[3:], " ")})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no benchmark that matches %q", path, matches)
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
func (f Figure) pattern() string {
	return "^" + strings.ReplaceAll(f.Name, "/", "$/^") + "$"
}

// Text is a figure as tables have it: with four digits that count, or more before the point.
func Text(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
