// Package figure is what the commands that measure figures share: their command line, the list of benchmarks, running
// each in a process of its own, and tables.
package figure

import (
	"fmt"
	"os"
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

// ReadList reads the figures of a file. N stands for n tasks there; lines behind "#long" count if long is set. The
// error names file and line.
func ReadList(path string, n int, long bool) (all []Figure, err error) {
	uncomment := ""
	if long {
		uncomment = longMark
	}
	err = EachLine(path, uncomment, func(fields []string) error {
		if len(fields) < 3 {
			return fmt.Errorf("want package, benchmark, iterations, and what it is; got %q", strings.Join(fields, " "))
		}
		times, err := iterations(fields[2], n)
		all = append(all, Figure{fields[0], fields[1], times, strings.Join(fields[3:], " ")})
		return err
	})
	return all, err
}

// EachLine calls f with the words of each line of a file that says something: what begins with "#" does not, unless
// with uncomment, which is left out then. The error is the first of f, with file and line.
func EachLine(path, uncomment string, f func(words []string) error) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := 0
	for line := range strings.Lines(string(text)) {
		at++
		words := strings.Fields(strings.TrimPrefix(line, uncomment))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := f(words); err != nil {
			return fmt.Errorf("%s:%d: %w", path, at, err)
		}
	}
	return nil
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
