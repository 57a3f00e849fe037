package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// rendered is a table as a terminal of that width shows it.
func rendered(t testing.TB, tab table, width int) string {
	t.Helper()
	var b bytes.Buffer
	if err := tab.write(&b, width, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	reason := "it failed 5 times within a minute: exit status 1: cannot open /var/lib/images"
	tab := table{header: []string{"NAME", "STATE", "TYPES", "REASON"}, prose: true, rows: [][]string{
		{"local", "ready", "http, sleep, sum", "-"}, {"images", "quarantined", "import", reason}}}
	for _, c := range []struct {
		what  string
		width int
		want  string
	}{
		{"no terminal", 0, `
NAME    STATE        TYPES             REASON
local   ready        http, sleep, sum  -
images  quarantined  import            ` + reason + `
`},
		{"room for a column of text", 80, `
NAME    STATE        TYPES             REASON
local   ready        http, sleep, sum  -
images  quarantined  import            it failed 5 times within a minute: exit
                                       status 1: cannot open /var/lib/images
`},
		{"no room for it", 50, `
NAME    STATE        TYPES
local   ready        http, sleep, sum
images  quarantined  import
  it failed 5 times within a minute: exit status
  1: cannot open /var/lib/images
`},
		{"no room for the columns", 36, `
NAME    STATE        TYPES
local   ready        http, sleep,
                     sum
images  quarantined  import
  it failed 5 times within a minute:
  exit status 1: cannot open
  /var/lib/images
`},
	} {
		if got := "\n" + rendered(t, tab, c.width); got != c.want {
			t.Errorf("%s:%s\nwant:%s", c.what, got, c.want)
		}
	}
	wide := table{header: []string{"NAME", "LABEL"}, rows: [][]string{{"漢字漢字漢字漢字", "e\u0301"}, {strings.Repeat("x", 20), "y"}}}
	if got, want := "\n"+rendered(t, wide, 17), "\nNAME        LABEL\n漢字漢字    e\u0301\n 漢字漢字\nxxxxxxxxx   y\n xxxxxxxxx\n xx\n"; got != want {
		t.Errorf("wide characters:%q\nwant:           %q", got, want)
	}
}

// FuzzTable: whatever stands in it, a table is as wide as was asked, no cell begins a line
// that looks like a row, and nothing steers the terminal.
func FuzzTable(f *testing.F) {
	f.Add("name", evil, strings.Repeat("word ", 40), uint8(80))
	f.Add(strings.Repeat("n", 300), "漢\u0301", "\t\t", uint8(1))
	f.Add("", "", "", uint8(0))
	f.Fuzz(func(t *testing.T, a, b, c string, w uint8) {
		width := 40 + int(w)
		for _, prose := range []bool{false, true} {
			text := rendered(t, table{header: []string{"A", "B", "C"}, prose: prose, rows: [][]string{{"\x00" + a, b, c}, {"last", "", ""}}}, width)
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if steers(text) || lines[len(lines)-1] != "last" {
				t.Fatalf("%q", text)
			}
			for i, line := range lines {
				if textWidth(line) > width {
					t.Fatalf("%d columns, at most %d: %q", textWidth(line), width, line)
				}
				if i > 1 && i < len(lines)-1 && !strings.HasPrefix(line, " ") {
					t.Fatalf("line %d of %q looks like a row", i, text)
				}
			}
		}
		var fields bytes.Buffer
		if err := writeFields(&fields, []field{{"name", a}, {"other", b + "\n" + c}}, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(fields.String()) {
			if line = strings.TrimSuffix(line, "\n"); textWidth(strings.ReplaceAll(line, "\t", "")) > width {
				t.Fatalf("%d columns, at most %d: %q", textWidth(line), width, line)
			}
		}
	})
}

// TestHelpFits: 80 columns suffice for the help of every command.
func TestHelpFits(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		var b bytes.Buffer
		c.SetOut(&b)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if line = strings.TrimRight(line, "\n"); textWidth(line) > usualWidth {
				t.Errorf("%s --help: %d columns: %s", c.CommandPath(), textWidth(line), line)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	t.Setenv("TASKHOST_CONFIG", "")
	check((&program{builtins: builtins()}).root())
}
