package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/taskhost/taskhost/host/supervisor"
)

// printable makes each line of s printable: scripts, workers and clients wrote it, and
// it is shown on someone's terminal.
func printable(s string) string {
	if !strings.Contains(s, "\n") {
		return supervisor.Printable(s)
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = supervisor.Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// foldLines is s cleaned, for where each line is one of a list: lines after the first
// are set off, so that none of them looks like the next of the list.
func foldLines(s string) string { return strings.ReplaceAll(printable(s), "\n", "\n  | ") }

// logWriter writes entries of the log, of which the logger hands over one in each
// call: it escapes what messages and names may hold, and sets off lines that would
// look like entries of their own. The logger does so for values alone.
type logWriter struct{ w io.Writer }

func (l logWriter) Write(entry []byte) (int, error) {
	var b bytes.Buffer
	rest := strings.TrimSuffix(string(entry), "\n")
	for first := true; first || rest != ""; first = false {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if !first && !strings.HasPrefix(line, "  ") {
			b.WriteString("  | ")
		}
		b.WriteString(supervisor.Printable(line))
		b.WriteByte('\n')
	}
	if _, err := l.w.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(entry), nil
}
