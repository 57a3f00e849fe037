package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/taskhost/taskhost/bench/figure"
	"github.com/taskhost/taskhost/bench/load"
)

// figuresTable prints the medians of all that was reported, in the order of the pairs.
func figuresTable(pairs []*pair) string {
	var names []string
	what := map[string]string{}
	said := map[string]map[string][]float64{} // by benchmark and unit
	add := func(name, words string, values map[string]float64) {
		if said[name] == nil {
			said[name] = map[string][]float64{}
			names = append(names, name)
			what[name] = words
		}
		for unit, v := range values {
			said[name][unit] = append(said[name][unit], v)
		}
	}
	for _, p := range pairs {
		for _, r := range p.rounds {
			if p.base != nil {
				add(p.base.Name, p.base.What, r.base)
			}
			add(p.figure.Name, p.figure.What, r.is)
		}
	}
	return figure.Table(func(w io.Writer) {
		for _, name := range names {
			fmt.Fprint(w, what[name])
			for _, unit := range slices.Sorted(maps.Keys(said[name])) {
				fmt.Fprintf(w, "\t%s %s", figure.Text(load.Median(said[name][unit])), unit)
			}
			if len(said[name]) == 0 {
				fmt.Fprint(w, "\tnot measured here")
			}
			fmt.Fprint(w, "\n")
		}
	})
}

// marksTable prints how the figures stand to their marks.
func marksTable(pairs []*pair) string {
	return figure.Table(func(w io.Writer) {
		fmt.Fprint(w, "\n\tmark\tmedian\tsurely in\trounds\t\n")
		for _, p := range pairs {
			for _, m := range p.marks {
				j := m.judge(p.rounds)
				if j.rounds == 0 {
					continue
				}
				surely := "unknown"
				if !math.IsInf(j.low, 0) && !math.IsInf(j.high, 0) {
					surely = fmt.Sprintf("%.2f to %.2f", j.low, j.high)
				}
				fmt.Fprintf(w, "%s\t%s\t%.2f\t%s\t%d\t%s\n", p.figure.What, m, j.median, surely, j.rounds, j.verdict)
			}
		}
	})
}
