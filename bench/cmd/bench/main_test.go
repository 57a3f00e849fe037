package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchmarks report fixed figures, but for one that has another at each run of its process.
const benchmarks = `package p

import (
	"os"
	"testing"
)

func BenchmarkBase(b *testing.B)   { if b.N != 1 && b.N != 50 { b.Fatal(b.N) }; b.ReportMetric(20_000, "tasks/s") }
func BenchmarkFast(b *testing.B)   { if b.N != 1 && b.N != 10 { b.Fatal(b.N) }; b.ReportMetric(18_000, "tasks/s"); b.ReportMetric(8, "p50-ms") }
func BenchmarkSlow(b *testing.B)   { b.ReportMetric(6000, "tasks/s") }
func BenchmarkDisk(b *testing.B)   { b.ReportMetric(2, "p50-ms") }
func BenchmarkAlone(b *testing.B)  { b.ReportMetric(42, "rss-MiB") }
func BenchmarkWithin(b *testing.B) { b.ReportMetric(5, "own/s"); b.ReportMetric(4, "peer/s") }
func BenchmarkAbsent(b *testing.B) { b.Skip("there is no broker") }
func BenchmarkLong(b *testing.B)   { b.ReportMetric(200, "tasks/s") }
func BenchmarkBroken(b *testing.B) { b.Fatal("the disk is on fire") }
func BenchmarkUneven(b *testing.B) {
	f, err := os.OpenFile("runs", os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil { b.Fatal(err) }
	f.WriteString("x")
	n, _ := f.Seek(0, 2)
	b.ReportMetric(float64(8000+n%2*4000), "tasks/s")
}
`

const list = `# package, benchmark, iterations, what
./p BenchmarkDisk 1 the disk
./p BenchmarkBase n the base
./p BenchmarkFast n/5 the fast one
./p BenchmarkSlow 1 the slow one
./p BenchmarkUneven 1 the uneven one
./p BenchmarkAlone 1 the lonely one
./p BenchmarkWithin 1 one with its peer
./p BenchmarkAbsent 1 the absent one
#long ./p BenchmarkLong 1 the long one
./nowhere BenchmarkNowhere 1 one of no package
`

const marks = `# what is to be reached
BenchmarkFast tasks/s least 0.90 BenchmarkBase tasks/s
BenchmarkFast p50-ms most 3 BenchmarkDisk p50-ms 1.5
BenchmarkSlow tasks/s least 0.31 BenchmarkBase tasks/s
BenchmarkUneven tasks/s least 0.50 BenchmarkBase tasks/s
BenchmarkWithin own/s least 1.25 BenchmarkWithin peer/s
BenchmarkAbsent tasks/s least 0.50 BenchmarkBase tasks/s
BenchmarkLong tasks/s most 0.01 BenchmarkBase tasks/s
`

// module makes one with these files beside its benchmarks, and goes there.
func module(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.com/m\n\ngo 1.26\n"
	files["p/p_test.go"] = benchmarks
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestMarks(t *testing.T) {
	module(t, map[string]string{"list": list, "marks": marks})
	var out, progress bytes.Buffer
	if err := run(t.Context(), strings.Fields("-list list -marks marks -tasks 50 -most 8"), &out, &progress); err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"the disk 2 p50-ms",
		"the base 20000 tasks/s",
		"the fast one 8 p50-ms 18000 tasks/s",
		"the lonely one 42 rss-MiB",
		"the absent one not measured here",
		"one of no package not measured here",
		"the fast one at least 0.90 of Base 0.90 0.90 to 0.90 6 reached",
		"the fast one p50-ms over 3 of Disk + 1.5 0.50 0.50 to 0.50 6 MISSED",
		"the slow one at least 0.31 of Base 0.30 0.30 to 0.30 6 MISSED",
		"the uneven one at least 0.50 of Base 0.50 0.40 to 0.60 8 undecided",
		"one with its peer own/s at least 1.25 of peer/s 1.25 1.25 to 1.25 6 reached",
	} {
		if !lines[want] {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "the long one") {
		t.Error("what is long was measured, and nobody asked for it:\n" + out.String())
	}
	if got := strings.Count(progress.String(), "the uneven one"); got != 8 {
		t.Errorf("the uneven one was measured %d times, want as often as may be", got)
	}
	if got := strings.Count(progress.String(), ": the base\n"); got != 0 {
		t.Errorf("the base was measured alone %d times, though others are measured beside it", got)
	}
}

// A few rounds decide nothing, and what is long is measured if asked for.
func TestFewRounds(t *testing.T) {
	module(t, map[string]string{"list": list, "marks": marks})
	var out bytes.Buffer
	if err := run(t.Context(), strings.Fields("-list list -marks marks -tasks 50 -rounds 2 -most 1 -figures Long -long"), &out, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "at most 0.01 of Base  0.01    unknown    2       undecided") || strings.Contains(out.String(), "the fast one") {
		t.Error(out.String())
	}
}

// A figure that fails is named at the end, and the others are measured.
func TestFaults(t *testing.T) {
	module(t, map[string]string{
		"list":  list + "./p BenchmarkBroken 1 the broken one\n",
		"marks": marks,
		"bad":   "BenchmarkFast tasks/s least BenchmarkBase tasks/s\n",
		"worse": "\nBenchmarkFast tasks/s least many BenchmarkBase tasks/s\n",
		"worst": "BenchmarkFast tasks/s least 1 BenchmarkBase tasks/s much\n",
	})
	for _, c := range []struct{ args, want string }{
		{"more", `what is "more"`},
		{"-rounds 0", "at least 1"},
		{"-figures (", "-figures"},
		{"-list none", "none: no such file"},
		{"-list list -marks none", "none: no such file"},
		{"-list list -marks bad", "bad:1: want benchmark"},
		{"-list list -marks worse", "worse:2: factor"},
		{"-list list -marks worst", "worst:1: what comes on top"},
		{"-list list -marks marks -figures Unheard", "no benchmark that matches"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(c.args), &out, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%s: %v; printed %q", c.args, err, out.String())
		}
	}
	var out, progress bytes.Buffer
	err := run(t.Context(), strings.Fields("-list list -marks marks -rounds 2 -most 2 -figures Broken|Alone"), &out, &progress)
	if err == nil || !strings.Contains(err.Error(), "the broken one was not measured") {
		t.Error(err)
	}
	if strings.Count(progress.String(), "the disk is on fire") != 1 || !strings.Contains(out.String(), "42 rss-MiB") {
		t.Error(progress.String(), out.String())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if err := run(ctx, strings.Fields("-list list -marks marks"), &out, &progress); !errors.Is(err, stopped) {
		t.Error(err)
	}
}
