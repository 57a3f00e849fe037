package main

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/perf/benchmath"

	"github.com/taskhost/taskhost/bench/figure"
)

// mark is what a figure is to reach beside its base: at least, or at most, factor times that and more.
type mark struct {
	figure, unit   string
	most           bool
	factor         float64
	base, baseUnit string
	more           float64 // in the figure's unit; with 0 the mark is told as a ratio
}

// readMarks reads the marks of a file. The error names file and line.
func readMarks(path string) (marks []mark, err error) {
	err = figure.EachLine(path, "", func(fields []string) error {
		m, err := parseMark(fields)
		marks = append(marks, m)
		return err
	})
	return marks, err
}

func parseMark(fields []string) (m mark, err error) {
	if len(fields) < 6 || len(fields) > 7 || fields[2] != "least" && fields[2] != "most" {
		return m, fmt.Errorf(`want benchmark, unit, "least" or "most", factor, base, its unit, and what comes on top; got %q`, strings.Join(fields, " "))
	}
	m = mark{figure: fields[0], unit: fields[1], most: fields[2] == "most", base: fields[4], baseUnit: fields[5]}
	if m.factor, err = strconv.ParseFloat(fields[3], 64); err != nil {
		return m, fmt.Errorf("factor: %w", err)
	}
	if len(fields) == 7 {
		if m.more, err = strconv.ParseFloat(fields[6], 64); err != nil {
			return m, fmt.Errorf("what comes on top: %w", err)
		}
	}
	return m, nil
}

// verdicts of a judgment.
const (
	reached   = "reached"
	missed    = "MISSED"
	undecided = "undecided"
)

// confidence is that of the interval in which a median is looked for. It takes six rounds.
const confidence = 0.95

// judgment is how a figure stands to a mark, in the median of its rounds: as a ratio to its base, or, of a mark
// with something on top, as how much it is above the mark.
type judgment struct {
	median, low, high float64 // low to high is where the median is as surely as confidence says
	rounds            int
	verdict           string
}

// judge says how a figure stands to the mark. Each round is judged for itself, since what was measured one right
// after the other had the same machine.
func (m mark) judge(rounds []round) (j judgment) {
	var stands []float64
	for _, r := range rounds {
		is, measured := r.is[m.unit]
		base, baseMeasured := r.base[m.baseUnit]
		switch {
		case !measured || !baseMeasured:
		case m.more != 0:
			stands = append(stands, is-m.factor*base-m.more)
		case base > 0:
			stands = append(stands, is/base)
		}
	}
	if len(stands) == 0 {
		return j
	}
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(stands, &benchmath.DefaultThresholds), confidence)
	j = judgment{median: s.Center, low: s.Lo, high: s.Hi, rounds: len(stands), verdict: undecided}
	limit := m.factor
	if m.more != 0 {
		limit = 0
	}
	switch {
	case m.most && j.high <= limit, !m.most && j.low >= limit:
		j.verdict = reached
	case m.most && j.low > limit, !m.most && j.high < limit:
		j.verdict = missed
	}
	return j
}

// String is the mark in words.
func (m mark) String() string {
	base := strings.TrimPrefix(m.base, "Benchmark")
	if m.more != 0 {
		return fmt.Sprintf("%s over %g of %s + %g", m.unit, m.factor, base, m.more)
	}
	unit := ""
	if m.unit != m.baseUnit {
		unit, base = m.unit+" ", m.baseUnit
	}
	bound := "least"
	if m.most {
		bound = "most"
	}
	return fmt.Sprintf("%sat %s %.2f of %s", unit, bound, m.factor, base)
}
