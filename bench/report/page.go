package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/taskhost/taskhost/bench/load"
)

const (
	// Page is the page's name within the folder of the docs.
	Page = "performance.md"
	// Folder holds its plots and its figures.
	Folder = "performance"
	// FiguresFile is the figures' name within Folder.
	FiguresFile = "figures.json"
)

// page is the text, into which the figures go.
//
//go:embed page.md.tmpl
var page string

// Read reads the figures of the page in that folder of docs.
func Read(docs string) (f load.Figures, err error) {
	path := filepath.Join(docs, Folder, FiguresFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	if len(f.Peers) == 0 {
		return f, fmt.Errorf("%s holds the figures of no peer", path)
	}
	return f, nil
}

// Write writes the page, its plots and its figures into that folder of docs.
func Write(docs string, f load.Figures) error {
	files, err := Render(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(docs, Folder), 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(docs, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Render makes all files of the page, by their names within the folder of the docs. The same
// figures give the same bytes.
func Render(f load.Figures) (map[string][]byte, error) {
	t, err := template.New(Page).Funcs(template.FuncMap{
		"base": base, "median": load.Median, "figure": figure, "ratio": ratio, "span": span, "backlogs": backlogs, "busy": busy, "rates": rates,
		"float": func(n int) float64 { return float64(n) },
		"cell":  func(text string) string { return strings.ReplaceAll(text, "|", `\|`) },
	}).Parse(page)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, f); err != nil {
		return nil, err
	}
	figures, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{Page: text.Bytes(), filepath.Join(Folder, FiguresFile): append(figures, '\n')}
	for name, draw := range plots {
		svg, err := draw(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[filepath.Join(Folder, name)] = svg
	}
	return files, nil
}

// busy says whether other work than the measured had the cores of the machine, by which who runs in
// more processes gains. The average goes back beyond the run: what ended just before it, the build
// among it, is in it.
func busy(f load.Figures) bool { return f.Load > float64(f.Machine.Cores) }

// span is the lowest and the highest of the rounds' ratios.
func span(of, to []float64) string {
	_, low, high := load.Ratio(of, to)
	if high == 0 {
		return "-"
	}
	return ratio([]float64{low}, []float64{1}) + " to " + ratio([]float64{high}, []float64{1})
}
