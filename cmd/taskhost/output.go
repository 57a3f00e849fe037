package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/taskhost/taskhost/host/supervisor"
)

const (
	formatTable = "table"
	formatJSON  = "json"
	formatLines = "jsonl"
	formatName  = "name"
)

var formats = []string{formatTable, formatJSON, formatLines, formatName}

// tableFormat is how things of one kind are printed in rows.
type tableFormat[T any] struct {
	// header are the names of the columns.
	header []string
	// cells are the columns of a row, as many as the header has.
	cells func(T) []string
	// name is what -o name prints of it.
	name func(T) string
}

// printList prints items; body is the REST body that holds them.
func printList[T any](p *program, format tableFormat[T], items []T, body any) error {
	switch p.format {
	case formatJSON:
		return p.json(body)
	case formatLines:
		for _, it := range items {
			if err := p.jsonLine(it); err != nil {
				return err
			}
		}
		return nil
	case formatName:
		for _, it := range items {
			if _, err := fmt.Fprintln(p.out, supervisor.Printable(format.name(it))); err != nil {
				return err
			}
		}
		return nil
	}
	table := make([][]string, 0, len(items)+1)
	table = append(table, format.header)
	for _, it := range items {
		table = append(table, format.cells(it))
	}
	return writeTable(p.out, table, colors(p.out))
}

// field is one line of a thing shown whole.
type field struct{ name, value string }

// printFields prints one thing: whole as a table of its fields.
func printFields[T any](p *program, it T, name string, fields []field) error {
	switch p.format {
	case formatJSON:
		return p.json(it)
	case formatLines:
		return p.jsonLine(it)
	case formatName:
		_, err := fmt.Fprintln(p.out, supervisor.Printable(name))
		return err
	}
	width := 0
	for _, f := range fields {
		width = max(width, len(f.name))
	}
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		value := strings.ReplaceAll(strings.TrimRight(f.value, "\n"), "\n", "\n"+strings.Repeat(" ", width+2))
		if _, err := fmt.Fprintf(p.out, "%-*s  %s\n", width, f.name, printable(value)); err != nil {
			return err
		}
	}
	return nil
}

// json prints v over several lines.
func (p *program) json(v any) error { return p.encode(v, "  ") }

// jsonLine prints v on one line.
func (p *program) jsonLine(v any) error { return p.encode(v, "") }

// encode writes v with all that steers a terminal escaped, which JSON's own rules
// leave to chance: it means the same.
func (p *program) encode(v any, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(p.out, printable(b.String()))
	return err
}

// writeTable aligns columns, two spaces apart; color marks states.
func writeTable(w io.Writer, table [][]string, color bool) error {
	var widths []int
	for _, row := range table {
		for i, cell := range row {
			row[i] = supervisor.Printable(strings.ReplaceAll(cell, "\n", " "))
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b bytes.Buffer
	for _, row := range table {
		for len(row) > 0 && row[len(row)-1] == "" { // no blanks at the end of a line
			row = row[:len(row)-1]
		}
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			if i == len(row)-1 {
				pad = ""
			}
			b.WriteString(paint(cell, color) + pad)
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// paint colors the name of a state, if color is set.
func paint(cell string, color bool) string {
	if !color {
		return cell
	}
	code := ""
	switch cell {
	case "succeeded", "ready":
		code = "32"
	case "failed", "revert_failed", "quarantined", "gone":
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

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colors says whether what is written to w may be colored.
func colors(w any) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }
