package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/bench/load"
)

// sample has a peer with all figures and one with few.
func sample() load.Figures {
	return load.Figures{
		Date: "2026-01-02", Commit: "abc1234", Rounds: 3, Clients: 64, Seconds: 5, FillSeconds: 60, WorkSeconds: 20,
		Machine:   load.Machine{CPU: "Some CPU", Cores: 2, MemoryGiB: 23.4, Kernel: "6.1", Go: "go1.26"},
		Fdatasync: []float64{0.5, 0.6, 0.7}, Load: 0.2,
		Peers: []load.PeerFigures{
			{
				About:  load.About{Name: "ours", Version: "1", OnDisk: "all", Stored: "a | b"},
				Singly: []float64{40_000, 20_000, 41_000}, Hundreds: []float64{60_000, 50_000, 61_000}, Idle50: []float64{1, 1.5, 1.1}, Idle99: []float64{3, 4, 5},
				Backlogs: []load.BacklogFigures{{Waiting: 1000, Rates: []float64{50_000, 51_000, 52_000}}, {Waiting: 10_000, Rates: []float64{50_500, 51_000, 51_000}}},
			},
			{
				About:  load.About{Name: "theirs", Version: "2"},
				Singly: []float64{400, 300, 205}, Hundreds: []float64{6000, 4000, 6100}, Idle50: []float64{250, 300, 220}, Idle99: []float64{251, 301, 221},
				Backlogs: []load.BacklogFigures{{Waiting: 1000, Rates: []float64{900, 800, 700}}, {Waiting: 10_000}},
			},
		},
	}
}

func TestTable(t *testing.T) {
	got := Table(sample())
	for _, want := range []string{"40,000", "0.010", "0.10", "250", "1.00", "51,000", "800"} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %s:\n%s", want, got)
		}
	}
}

func TestPageTellsAll(t *testing.T) {
	files, err := Render(sample())
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[Page])
	for _, want := range []string{
		"Some CPU, 2 cores, 23.4 GiB", "2026-01-02 at commit abc1234", "0.60 ms", "average\nwas 0.2 before",
		"| theirs | 300 | 0.010 | 0.0050 to 0.015 | 6,000 | 0.10 | 0.080 to 0.10 |",
		"| theirs | 250 | 251 | 200 |",
		"| ours | 51,000 | 51,000 |", "| theirs | 800 | - |", `a \| b`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	for name := range plots {
		if !strings.Contains(text, Folder+"/"+name) {
			t.Errorf("the page does not show %s", name)
		}
		if svg := files[filepath.Join(Folder, name)]; !bytes.Contains(svg, []byte("</svg>")) {
			t.Errorf("%s is no picture", name)
		}
	}
}

// A page of a machine that had other work says so.
func TestBusyMachine(t *testing.T) {
	const warning = "had much other work"
	for average, want := range map[float64]bool{0.3: false, 1.9: false, 2.1: true, 16: true} {
		f := sample()
		f.Load = average
		files, err := Render(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(files[Page]), warning); got != want {
			t.Errorf("load average %v: warned %v", average, got)
		}
	}
}

// What is written is read back, and gives the same bytes again.
func TestFiguresGiveThePage(t *testing.T) {
	docs := t.TempDir()
	if err := Write(docs, sample()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(docs)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, docs, f)
}

// docs/performance.md is what its figures give: make bench-page writes it anew.
func TestCommittedPage(t *testing.T) {
	const docs = "../../docs"
	f, err := Read(docs)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, docs, f)
}

func sameFiles(t *testing.T, docs string, f load.Figures) {
	t.Helper()
	files, err := Render(f)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its figures give", name)
		}
	}
}

func TestReadRefusesWhatIsNoFigures(t *testing.T) {
	for text, want := range map[string]string{"{": "unexpected end", `{"peers": []}`: "of no peer"} {
		docs := t.TempDir()
		if err := os.Mkdir(filepath.Join(docs, Folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(docs, Folder, FiguresFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(docs); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), FiguresFile) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("no figures are no error")
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "-", 0.123: "0.12", 9.999: "10.00", 45.67: "45.7", 123.4: "123", 1234: "1,234", 1234567: "1,234,567"} {
		if got := figure(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
