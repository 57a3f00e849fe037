package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

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
	// prose says that the last column is sentences: see table.
	prose bool
}

// tableOf is items as a table.
func tableOf[T any](format tableFormat[T], items []T) table {
	t := table{header: format.header, prose: format.prose}
	for _, it := range items {
		t.rows = append(t.rows, format.cells(it))
	}
	return t
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
	return p.writeTable(tableOf(format, items))
}

// writeTable writes a table as stdout takes it.
func (p *program) writeTable(t table) error {
	return t.write(p.out, terminalWidth(p.out), colors(p.out))
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
	return writeFields(p.out, fields, terminalWidth(p.out))
}

// writeFields writes fields that are not empty, each value beside its name and in lines of
// its own; 0 is no bound of width.
func writeFields(w io.Writer, fields []field, width int) error {
	names := 0
	for _, f := range fields {
		names = max(names, len(f.name))
	}
	room := max(width-names-columnGap, minProse)
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		var lines []string
		for line := range strings.SplitSeq(printable(strings.TrimRight(f.value, "\n")), "\n") {
			if width == 0 || textWidth(line) <= room {
				lines = append(lines, line)
				continue
			}
			text := strings.TrimLeft(line, " ")
			indent := line[:min(len(line)-len(text), room/2)]
			for _, part := range wrap(text, room-len(indent)) {
				lines = append(lines, indent+part)
			}
		}
		value := strings.Join(lines, "\n"+strings.Repeat(" ", names+columnGap))
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", names, f.name, value); err != nil {
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
