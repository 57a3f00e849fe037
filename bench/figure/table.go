package figure

import (
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Text is a figure as tables have it: with four digits that count, or more before the point.
func Text(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// Table is what write writes, with its cells, which end with tabs, below one another.
func Table(write func(w io.Writer)) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	write(w)
	_ = w.Flush() // into memory, which does not fail
	return out.String()
}
