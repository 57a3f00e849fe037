package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrMissing is that a program of a peer is not installed; bench/install.sh installs it.
var ErrMissing = errors.New("not installed: run bench/install.sh")

// Python is Debian's own interpreter, for which its packages are.
const Python = "/usr/bin/python3"

// Scratch makes a directory for servers below the system's for temporary files. Other users may
// pass through it, because PostgreSQL refuses to run as root.
func Scratch() (string, error) {
	dir, err := os.MkdirTemp("", "taskhost-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// find is the program's path: the first pattern that matches, or a name to look up.
func find(candidates ...string) (string, error) {
	for _, c := range candidates {
		if matches, _ := filepath.Glob(c); len(matches) > 0 {
			return matches[len(matches)-1], nil
		}
		if path, err := exec.LookPath(c); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", filepath.Base(candidates[0]), ErrMissing)
}

var number = regexp.MustCompile(`\d+(\.\d+)+`)

// version is the first version number that a program prints.
func version(ctx context.Context, path string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", path, strings.Join(args, " "), err, out)
	}
	v := number.FindString(string(out))
	if v == "" {
		return "", fmt.Errorf("%s %s tells no version: %q", path, strings.Join(args, " "), out)
	}
	return v, nil
}

// CheckPython says whether Debian's interpreter has the module; its error is ErrMissing if not.
func CheckPython(ctx context.Context, module string) error {
	if out, err := exec.CommandContext(ctx, Python, "-c", "import "+module).CombinedOutput(); err != nil {
		return fmt.Errorf("%s for %s: %w: %s", module, Python, ErrMissing, out)
	}
	return nil
}
