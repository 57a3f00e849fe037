package main

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

// side is one of the two commits, checked out in a worktree of its own.
type side struct {
	name  string // base or head
	title string // the commit's id and subject
	tree  string
	dir   string // for what is built
}

// checkOut makes a worktree of commit in dir. Remove it when it is no longer needed.
func checkOut(ctx context.Context, root, dir, name, commit string) (*side, error) {
	title, err := git(ctx, root, "show", "--no-patch", "--format=%h %s", commit+"^{commit}", "--")
	if err != nil {
		return nil, err
	}
	s := &side{name: name, title: title, tree: filepath.Join(dir, name), dir: filepath.Join(dir, name+"-built")}
	_, err = git(ctx, root, "worktree", "add", "--quiet", "--detach", s.tree, commit+"^{commit}")
	return s, err
}

// remove removes the worktree, also when ctx of the run has ended.
func (s *side) remove(root string) error {
	_, err := git(context.Background(), root, "worktree", "remove", "--force", s.tree)
	return err
}

// build makes the test binaries of the figures' packages; one that the commit does not have has
// none.
func (s *side) build(ctx context.Context, figures []figure) error {
	for _, f := range figures {
		if _, err := os.Stat(s.binary(f)); err == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.tree, f.pkg)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := s.command(ctx, s.tree, "go", "test", "-c", "-o", s.binary(f), f.pkg); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) binary(f figure) string {
	return filepath.Join(s.dir, strings.ReplaceAll(strings.TrimPrefix(f.pkg, "./"), "/", "_")+".test")
}

// measure runs the benchmark once and returns what it reports, by unit; nothing if the commit does not
// have it.
func (s *side) measure(ctx context.Context, f figure) (map[string]float64, error) {
	if _, err := os.Stat(s.binary(f)); err != nil {
		return nil, nil
	}
	out, err := s.command(ctx, filepath.Join(s.tree, f.pkg), s.binary(f),
		"-test.run", "^$", "-test.bench", f.pattern(), "-test.benchtime", fmt.Sprintf("%dx", f.times), "-test.timeout", "30m")
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	r := benchfmt.NewReader(bytes.NewReader(out), f.name)
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
func (s *side) command(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
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
		return nil, fmt.Errorf("%s: %s %s: %w\n%s%s", s.name, filepath.Base(program), strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// git runs git in a folder and returns what it prints, without the last line's end.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}
