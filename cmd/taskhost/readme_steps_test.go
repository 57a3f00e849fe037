package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// step is a fenced block of a README: what a person copies, or looks at.
type step struct {
	at     string // such as README.md:12, for messages
	lang   string
	text   string
	before string // the prose between the block before it and this one
	file   string // the file that the block is said to be, by a comment <!-- PATH --> before it
	shown  string // of commands: the output that the next block, a "text", shows
}

var (
	fence    = regexp.MustCompile("^( *)```([a-z]*)$")
	fileMark = regexp.MustCompile(`(?m)^<!-- (\S+) -->$`)
)

// stepsOf are the blocks of a README, in order. Output is no step of its own: it is with
// the commands that print it.
func stepsOf(t *testing.T, name, text string) []step {
	t.Helper()
	var steps []step
	var prose []string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		open := fence.FindStringSubmatch(lines[i])
		if open == nil {
			prose = append(prose, lines[i])
			continue
		}
		s := step{at: fmt.Sprintf("%s:%d", name, i+1), lang: open[2], before: strings.Join(prose, "\n")}
		prose = nil
		for i++; ; i++ {
			if i == len(lines) {
				t.Fatalf("%s: this block has no end", s.at)
			}
			if strings.TrimSpace(lines[i]) == "```" {
				break
			}
			s.text += strings.TrimPrefix(lines[i], open[1]) + "\n"
		}
		if mark := fileMark.FindStringSubmatch(s.before); mark != nil {
			s.file = mark[1]
		}
		switch s.lang {
		case "bash", "shell", "console", "zsh":
			t.Fatalf("%s: commands stand in blocks of sh, so that they are run here, and what they print in a block of text after it", s.at)
		case "text":
			if len(steps) == 0 || steps[len(steps)-1].lang != "sh" || steps[len(steps)-1].shown != "" {
				t.Fatalf("%s: a block of text is what the commands of the sh block before it print, and there is none", s.at)
			}
			steps[len(steps)-1].shown = s.text
		default:
			steps = append(steps, s)
		}
	}
	return steps
}

// serves is a command that keeps its terminal until it is told to end.
var serves = regexp.MustCompile(`^(?:make run|\S*taskhost (?:server|dev|worker .*--config)|\S*python3 -m celery .* worker)\b`)

// server says whether the step's last command keeps the terminal.
func (s step) server(t *testing.T) bool {
	t.Helper()
	last := false
	for line := range strings.Lines(s.text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if last {
			t.Fatalf("%s: %q stands after a command that keeps its terminal, so nobody who copies the block gets to it; give it a block of its own", s.at, line)
		}
		last = serves.MatchString(line)
	}
	return last
}

var stops = regexp.MustCompile(`\b[Ss]top\b[^.]*\bCtrl-C`)

// asksToStop says whether the prose before the step has the reader end what serves.
func (s step) asksToStop() bool { return stops.MatchString(s.before) }

// masks are what differs from run to run, and what stands for it.
var masks = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`(taskhost-dev-)\d+`), "${1}N"},
	{regexp.MustCompile(`\bpid=\d+`), "pid=N"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`), "DATE"},
	{regexp.MustCompile(`(?:DATET?)?\b\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC)?`), "TIME"},
	{regexp.MustCompile(`\b\d+(?:\.\d+)?(?:ns|µs|ms|s|m|h)\b`), "TIME"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
	{regexp.MustCompile(`\n{2,}`), "\n"},
}

func masked(text string) string {
	for _, m := range masks {
		text = m.what.ReplaceAllString(text, m.as)
	}
	return strings.Trim(text, "\n") + "\n"
}

// isShown says whether got is what a README shows: line for line, but for ids, times and
// the width of columns. A line of ... stands for any number of lines.
func isShown(shown, got string) bool {
	pattern := regexp.QuoteMeta(masked(shown))
	pattern = regexp.MustCompile(`(?m)^\\\.\\\.\\\.\n`).ReplaceAllString(pattern, `(?:.*\n)*?`)
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(masked(got))
}

func TestReadmeSteps(t *testing.T) {
	steps := stepsOf(t, "X.md", "It serves until Ctrl-C.\n\n```sh\nmake run\n```\n\nStop it\nwith Ctrl-C.\n<!-- a/b.go -->\n```go\nx\n```\n\n  ```sh\n  ls\n  ```\nprints\n```text\nabc\n```\n")
	if len(steps) != 3 || !steps[0].server(t) || steps[2].server(t) || steps[0].asksToStop() || !steps[1].asksToStop() ||
		steps[1].file != "a/b.go" || steps[2].text != "ls\n" || steps[2].shown != "abc\n" || steps[2].at != "X.md:14" {
		t.Errorf("%+v", steps)
	}
	for _, c := range []struct {
		shown, got string
		want       bool
	}{
		{"6.5\n", "6.5", true},
		{"6.5\n", "6.5\nmore\n", false},
		{"6.5\n...\n", "6.5\nmore\n", true},
		{"a\n...\nb\n", "a\nb\n", true},
		{"a\n...\nb\n", "a\nc\n", false},
		{"ID   AGE\n01a21550-278f-7bbf-9d2d-f3b2fc49ff17 0s\n", "ID  AGE\n\n01a21550-278f-7bbf-9d2d-000000000000  12ms  \n", true},
		{"00:47:23.867 running (attempt 1)\n", "12:00:00.1 running (attempt 1)\n", true},
		{"00:47:23.867 running (attempt 1)\n", "12:00:00.1 running (attempt 2)\n", false},
	} {
		if got := isShown(c.shown, c.got); got != c.want {
			t.Errorf("%q for %q: %v", c.got, c.shown, got)
		}
	}
}
