// Package report tells what was measured: as a table, and as docs/performance.md with its plots.
package report

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/taskhost/taskhost/bench/load"
)

// Table is for a terminal: the medians, and what they are of those of the first peer.
func Table(f load.Figures) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\tsingly/s\tof %[1]s\tin hundreds/s\tof %[1]s\tidle ms\tp99 ms\ttimes %[1]s\t\n", base(f).Name)
	for _, p := range f.Peers {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", p.Name,
			figure(load.Median(p.Singly)), ratio(p.Singly, base(f).Singly),
			figure(load.Median(p.Hundreds)), ratio(p.Hundreds, base(f).Hundreds),
			figure(load.Median(p.Idle50)), figure(load.Median(p.Idle99)), ratio(p.Idle50, base(f).Idle50))
	}
	fmt.Fprintf(w, "\t\n")
	fmt.Fprintf(w, "worked off, of so many that wait\t")
	for _, waiting := range backlogs(f) {
		fmt.Fprintf(w, "%s\t", figure(float64(waiting)))
	}
	fmt.Fprintln(w)
	for _, p := range f.Peers {
		fmt.Fprintf(w, "%s\t", p.Name)
		for _, waiting := range backlogs(f) {
			fmt.Fprintf(w, "%s\t", figure(load.Median(rates(p, waiting))))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory, which does not fail
	return out.String()
}

// base is the peer with which the others are compared.
func base(f load.Figures) load.PeerFigures { return f.Peers[0] }

// backlogs are the sizes that somebody was measured with.
func backlogs(f load.Figures) (sizes []int) {
	for _, p := range f.Peers {
		for _, b := range p.Backlogs {
			if len(b.Rates) > 0 && (len(sizes) == 0 || b.Waiting > sizes[len(sizes)-1]) {
				sizes = append(sizes, b.Waiting)
			}
		}
	}
	return sizes
}

// rates are those at which the peer worked off a backlog of that size, none if it was not filled.
func rates(p load.PeerFigures, waiting int) []float64 {
	for _, b := range p.Backlogs {
		if b.Waiting == waiting {
			return b.Rates
		}
	}
	return nil
}

// figure has three digits or all before the point, with commas; "-" for what was not measured.
func figure(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// ratio is the median of the rounds' ratios.
func ratio(of, to []float64) string {
	r, _, _ := load.Ratio(of, to)
	if r == 0 {
		return "-"
	}
	if r >= 10 {
		return strconv.FormatFloat(r, 'f', 0, 64)
	}
	return strconv.FormatFloat(r, 'f', max(2, leadingZeros(r)+2), 64)
}

// leadingZeros counts the zeros between the point and the first other digit.
func leadingZeros(r float64) (n int) {
	for r < 0.1 && n < 6 {
		r *= 10
		n++
	}
	return n
}
