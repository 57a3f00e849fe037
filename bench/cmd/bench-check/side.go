package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/taskhost/taskhost/bench/figure"
)

// side is one of the two commits, checked out in a worktree of its own.
type side struct {
	name  string // base or head
	title string // the commit's id and subject
	figure.Tree
}

// checkOut makes a worktree of commit in dir. Remove it when it is no longer needed.
func checkOut(ctx context.Context, root, dir, name, commit string) (*side, error) {
	title, err := git(ctx, root, "show", "--no-patch", "--format=%h %s", commit+"^{commit}", "--")
	if err != nil {
		return nil, err
	}
	s := &side{name: name, title: title, Tree: figure.Tree{Root: filepath.Join(dir, name), Binaries: filepath.Join(dir, name+"-built")}}
	_, err = git(ctx, root, "worktree", "add", "--quiet", "--detach", s.Root, commit+"^{commit}")
	return s, err
}

// remove removes the worktree, also when ctx of the run has ended.
func (s *side) remove(root string) error {
	_, err := git(context.Background(), root, "worktree", "remove", "--force", s.Root)
	return err
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
