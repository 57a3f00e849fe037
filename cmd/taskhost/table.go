package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/taskhost/taskhost/host/supervisor"
)

// table is text in columns. On a terminal it is never wider than that: what does not fit
// goes on in the next line of its column.
type table struct {
	header []string
	// rows are as long as the header.
	rows [][]string
	// prose says that the last column is sentences: with little room beside the other
	// columns they stand below their row.
	prose bool
}

const (
	// columnGap is the blanks between two columns.
	columnGap = 2
	// minProse is with how much room sentences still make a column, if none of their
	// words is longer.
	minProse = 24
	// minColumn is the width under which no column is made narrower.
	minColumn = 8
)

// write writes the table, at most width columns wide; 0 is no bound. color marks states.
func (t *table) write(w io.Writer, width int, color bool) error {
	lines := make([][]string, 0, len(t.rows)+1)
	for _, row := range append([][]string{t.header}, t.rows...) {
		lines = append(lines, cleanCells(row))
	}
	widths := columnWidths(lines)
	last := len(widths) - 1
	over := 0
	if width > 0 {
		over = max(0, totalWidth(widths)-width)
	}
	var below []string
	switch {
	case over > 0 && t.prose && widths[last]-over >= max(minProse, longestWords(lines)[last]):
		widths[last] -= over
	case over > 0 && t.prose:
		for i, row := range lines {
			below = append(below, row[last])
			lines[i] = row[:last]
		}
		below[0] = "" // of the header
		widths = widths[:last]
		shrink(widths, lines, width)
	case over > 0:
		shrink(widths, lines, width)
	}
	var b bytes.Buffer
	for i, row := range lines {
		painted := len(row)
		if t.prose && below == nil {
			painted = last
		}
		if !color || i == 0 {
			painted = 0
		}
		writeRow(&b, row, widths, painted)
		if below != nil && below[i] != "-" {
			for _, line := range wrap(below[i], max(width-2, minColumn)) {
				b.WriteString("  " + line + "\n")
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// cleanCells are cells that each stand on one line, and steer no terminal.
func cleanCells(row []string) []string {
	out := make([]string, len(row))
	for i, cell := range row {
		out[i] = supervisor.Printable(strings.NewReplacer("\n", " ", "\t", " ").Replace(cell))
	}
	return out
}

func columnWidths(lines [][]string) []int {
	widths := make([]int, len(lines[0]))
	for _, row := range lines {
		for i, cell := range row {
			widths[i] = max(widths[i], textWidth(cell))
		}
	}
	return widths
}

func totalWidth(widths []int) int {
	sum := columnGap * (len(widths) - 1)
	for _, n := range widths {
		sum += n
	}
	return sum
}

// shrink takes from the widest columns what the table is too wide: at first only where
// cells break between words, then anywhere. It leaves room for the header and for short
// cells, also where the table stays too wide.
func shrink(widths []int, lines [][]string, width int) {
	for i := range widths {
		widths[i] = min(widths[i], width)
	}
	least := make([]int, len(widths))
	for _, longest := range [][]int{longestWords(lines), make([]int, len(widths))} {
		for i := range least {
			least[i] = max(minColumn, textWidth(lines[0][i]), longest[i])
		}
		for totalWidth(widths) > width && shrinkWidest(widths, least) {
		}
	}
}

// longestWords is the width of the longest word of each column.
func longestWords(lines [][]string) []int {
	words := make([]int, len(lines[0]))
	for _, row := range lines {
		for i, cell := range row {
			for word := range strings.FieldsSeq(cell) {
				words[i] = max(words[i], textWidth(word))
			}
		}
	}
	return words
}

// shrinkWidest makes the widest of the columns narrower that are wider than the least.
func shrinkWidest(widths, least []int) bool {
	widest := -1
	for i, n := range widths {
		if n > least[i] && (widest < 0 || n > widths[widest]) {
			widest = i
		}
	}
	if widest < 0 {
		return false
	}
	widths[widest]--
	return true
}

// writeRow writes a row, on as many lines as its highest cell needs. States are painted in
// so many of its first cells.
func writeRow(b *bytes.Buffer, row []string, widths []int, painted int) {
	cells := make([][]string, len(row))
	height := 1
	for i, cell := range row {
		cells[i] = wrap(cell, widths[i])
		if i == 0 && len(cells[i]) > 1 { // set off, or what goes on would look like a row of its own
			cells[i] = wrap(cell, widths[i]-1)
			for n := range cells[i][1:] {
				cells[i][n+1] = " " + cells[i][n+1]
			}
		}
		height = max(height, len(cells[i]))
	}
	for n := range height {
		var line strings.Builder
		for i, cell := range cells {
			text := ""
			if n < len(cell) {
				text = cell[n]
			}
			pad := strings.Repeat(" ", max(0, widths[i]-textWidth(text)+columnGap))
			if i < painted && n == 0 {
				text = paint(text)
			}
			line.WriteString(text + pad)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// paint colors a cell that is a state, or begins with one.
func paint(cell string) string {
	code := ""
	switch state, _, _ := strings.Cut(cell, " "); strings.TrimSuffix(state, ",") {
	case "succeeded", "ready", "ok":
		code = "32"
	case "failed", "revert_failed", "quarantined", "gone", "unavailable":
		code = "31"
	case "running", "reverting", "starting":
		code = "36"
	case "canceling", "canceled", "degraded", "draining", "drained", "paused":
		code = "33"
	default:
		return cell
	}
	return "\x1b[" + code + "m" + cell + "\x1b[0m"
}

// wrap breaks s, where there are blanks if it can, into lines of at most that width.
func wrap(s string, width int) []string {
	if s == "" {
		return nil
	}
	if textWidth(s) <= width {
		return []string{s}
	}
	var lines []string
	line := ""
	end := func() {
		if line != "" {
			lines = append(lines, line)
		}
		line = ""
	}
	for word := range strings.FieldsSeq(s) {
		if line != "" && textWidth(line)+1+textWidth(word) <= width {
			line += " " + word
			continue
		}
		end()
		for n := prefixOfWidth(word, width); n < len(word); n = prefixOfWidth(word, width) {
			lines = append(lines, word[:n])
			word = word[n:]
		}
		line = word
	}
	end()
	return lines
}
