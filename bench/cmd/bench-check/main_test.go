package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes one with two commits, whose benchmarks report fixed figures: what is 1,000 in
// the first is 1,200 in the second.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/m\n\ngo 1.26\n")
	write(t, dir, "list", "# package, benchmark, iterations\n./p BenchmarkRate n\n./p BenchmarkIdle/one n/5\n./p BenchmarkNew 1\n./q BenchmarkNowhere 1\n./p BenchmarkPlain 10\n")
	gitIn(t, dir, "init", "--quiet")
	write(t, dir, "p/p_test.go", benchmarks(1000, ""))
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "--quiet", "--message", "the first")
	write(t, dir, "p/p_test.go", benchmarks(1200, `func BenchmarkNew(b *testing.B) { b.ReportMetric(7, "tasks/s") }`))
	gitIn(t, dir, "commit", "--quiet", "--all", "--message", "the second")
	return dir
}

func benchmarks(rate int, more string) string {
	return fmt.Sprintf(`package p
import "testing"
func BenchmarkRate(b *testing.B) { if b.N != 1 && b.N != 50 { b.Fatal(b.N) }; b.ReportMetric(%d, "tasks/s") }
func BenchmarkIdle(b *testing.B) {
	b.Run("one", func(b *testing.B) { if b.N != 1 && b.N != 10 { b.Fatal(b.N) }; b.ReportMetric(%d, "p50-ms") })
	b.Run("one_more", func(b *testing.B) { b.Fatal("nobody asked for it") })
}
func BenchmarkPlain(b *testing.B) {}
%s
`, rate, rate, more)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestCompare(t *testing.T) {
	dir := repository(t)
	t.Chdir(dir)
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"-base", "HEAD~1", "-list", "list", "-rounds", "3", "-tasks", "50"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"base", "the first"},
		{"head", "the second"},
		{"Rate", "tasks/s", "1000", "1200", "1.200", "1.200 to 1.200", "better in every round"},
		{"Idle/one", "p50-ms", "1000", "1200", "1.200", "1.200 to 1.200", "worse in every round"},
		{"New", "tasks/s", "none", "7", "-"},
		{"Nowhere", "neither commit has it"},
		{"Plain", "sec/op"},
	} {
		if !hasLine(out.String(), want) {
			t.Errorf("no line with %q in\n%s", want, out.String())
		}
	}
	alone(t, dir)
}

// hasLine says whether a line has the words in this order, beginning with the first.
func hasLine(text string, words []string) bool {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, words[0])
		for _, w := range words[1:] {
			if found {
				_, rest, found = strings.Cut(rest, w)
			}
		}
		if found {
			return true
		}
	}
	return false
}

// alone says that no worktree is left behind.
func alone(t *testing.T, dir string) {
	t.Helper()
	if trees := gitIn(t, dir, "worktree", "list"); strings.Count(trees, "\n") != 1 {
		t.Error("worktrees are left behind:\n" + trees)
	}
}

// A run that is broken off or can't measure fails, says why, and leaves nothing behind.
func TestFaults(t *testing.T) {
	dir := repository(t)
	t.Chdir(dir)
	write(t, dir, "p/p_test.go", benchmarks(1, `func BenchmarkNew(b *testing.B) { b.Fatal("the disk is on fire") }`))
	gitIn(t, dir, "commit", "--quiet", "--all", "--message", "the third")
	write(t, dir, "p/p_test.go", "package p\nfunc BenchmarkNew(")
	gitIn(t, dir, "commit", "--quiet", "--all", "--message", "the fourth")
	write(t, dir, "bad", "./p BenchmarkRate\n")
	write(t, dir, "worse", "./p BenchmarkRate n*2\n")
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "with which commit"},
		{"-base HEAD~3 more", `what is "more"`},
		{"-base HEAD~3 -rounds 0", "at least 1"},
		{"-base HEAD~3 -figures (", "-figures"},
		{"-base nobody -list list", "nobody"},
		{"-base HEAD~3 -head nobody -list list", "nobody"},
		{"-base HEAD~3 -list none", "none: no such file"},
		{"-base HEAD~3 -list bad", "bad:1: want package"},
		{"-base HEAD~3 -list worse", "worse:1: iterations"},
		{"-base HEAD~3 -list list -figures Unheard", "no benchmark that matches"},
		{"-base HEAD~3 -head HEAD~1 -list list -figures New -rounds 1", "the disk is on fire"},
		{"-base HEAD~3 -list list -figures New", "head: go test -c"},
	} {
		var out, progress bytes.Buffer
		err := run(t.Context(), strings.Fields(c.args), &out, &progress)
		if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%s: %v; printed %q", c.args, err, out.String())
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	err := run(ctx, strings.Fields("-base HEAD~3 -head HEAD~2 -list list -figures Rate -tasks 50"), &bytes.Buffer{}, writer(func(p []byte) {
		if strings.Contains(string(p), "round 2") {
			cancel(stopped)
		}
	}))
	if !errors.Is(err, stopped) {
		t.Error(err)
	}
	alone(t, dir)
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
