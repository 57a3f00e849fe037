package figure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/perf/benchfmt"
)

// Tree is a tree of sources whose benchmarks are run.
type Tree struct {
	Root     string // the folder that packages are relative to
	Binaries string // the folder of what is built
}

// Build makes the test binaries of the figures' packages; one that the tree does not have has none.
func (t Tree) Build(ctx context.Context, figures []Figure) error {
	for _, f := range figures {
		if _, err := os.Stat(t.binary(f)); err == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(t.Root, f.Package)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := command(ctx, t.Root, "go", "test", "-c", "-o", t.binary(f), f.Package); err != nil {
			return err
		}
	}
	return nil
}

func (t Tree) binary(f Figure) string {
	return filepath.Join(t.Binaries, strings.ReplaceAll(strings.TrimPrefix(f.Package, "./"), "/", "_")+".test")
}

// Measure runs the benchmark once and returns what it reports, by unit; nothing if the tree does not
// have it, or if it skips itself.
func (t Tree) Measure(ctx context.Context, f Figure) (map[string]float64, error) {
	if _, err := os.Stat(t.binary(f)); err != nil {
		return nil, nil
	}
	out, err := command(ctx, filepath.Join(t.Root, f.Package), t.binary(f),
		"-test.run", "^$", "-test.bench", f.pattern(), "-test.benchtime", fmt.Sprintf("%dx", f.Times), "-test.timeout", "30m")
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	r := benchfmt.NewReader(bytes.NewReader(out), f.Name)
	for r.Scan() {
		if result, ok := r.Result().(*benchfmt.Result); ok {
			for _, v := range result.Values {
				values[v.Unit] = v.Value
			}
		}
	}
	if len(values) > 1 {
		delete(values, "sec/op") // a benchmark that reports figures of its own means those
	}
	return values, r.Err()
}

// command runs a program and returns what it prints; its error says that, too.
func command(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOGC=400") // as taskhost itself has it
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &stdout
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}
