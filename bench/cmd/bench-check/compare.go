package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/bench/figure"
	"github.com/taskhost/taskhost/bench/load"
)

// results are what each figure's benchmark reported: for each unit both sides' values, a value a round.
type results map[figure.Figure]map[string]*[2][]float64

// measure measures each figure on both sides, round after round. Who comes first alternates, so
// that neither always has the warmer machine.
func measure(ctx context.Context, sides [2]*side, figures []figure.Figure, rounds int, progress io.Writer) (results, error) {
	all := results{}
	for _, f := range figures {
		all[f] = map[string]*[2][]float64{}
	}
	for round := range rounds {
		for _, f := range figures {
			fmt.Fprintf(progress, "round %d of %d: %s\n", round+1, rounds, f.Name)
			for i := range sides {
				at := (i + round) % 2
				values, err := sides[at].Measure(ctx, f)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", sides[at].name, err)
				}
				for unit, v := range values {
					if all[f][unit] == nil {
						all[f][unit] = &[2][]float64{}
					}
					all[f][unit][at] = append(all[f][unit][at], v)
				}
			}
		}
	}
	return all, nil
}

// table prints a line for each figure and unit.
func table(sides [2]*side, figures []figure.Figure, all results) string {
	return fmt.Sprintf("base %s\nhead %s\n\n", sides[0].title, sides[1].title) + figure.Table(func(w io.Writer) {
		fmt.Fprint(w, "\tunit\tbase\thead\thead/base\tspread\t\n")
		for _, f := range figures {
			name := strings.TrimPrefix(f.Name, "Benchmark")
			if len(all[f]) == 0 {
				fmt.Fprintf(w, "%s\tneither commit has it\n", name)
			}
			for _, unit := range slices.Sorted(maps.Keys(all[f])) {
				base, head := all[f][unit][0], all[f][unit][1]
				median, low, high := load.Ratio(head, base)
				ratio, spread := "-", "-"
				if median > 0 {
					ratio = fmt.Sprintf("%.3f", median)
					spread = fmt.Sprintf("%.3f to %.3f", low, high)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, unit, value(base), value(head), ratio, spread, word(unit, low, high))
			}
		}
	})
}

// value is the median.
func value(rounds []float64) string {
	if len(rounds) == 0 {
		return "none"
	}
	return figure.Text(load.Median(rounds))
}

// word says what every round says; nothing where they differ.
func word(unit string, low, high float64) string {
	more := strings.HasSuffix(unit, "/s")
	switch {
	case high == 0 || low <= 1 && high >= 1:
		return ""
	case more == (low > 1):
		return "better in every round"
	}
	return "worse in every round"
}
