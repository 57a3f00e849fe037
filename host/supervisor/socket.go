package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/taskhost/taskhost/host/files"
)

// maxSocketDir is how long the path of the directory may be in which go-plugin
// makes "plugin-dir" and ten digits, and in it "plugin" and ten digits: a
// socket's whole path has room for 107 bytes.
const maxSocketDir = 107 - len("/plugin-dir0123456789/plugin0123456789")

// makeSocketDir makes the directory for the sockets: in the run directory, or, where
// that has too long a path, a short one that the run directory names, so that
// sockets a dead host left are found and removed.
func makeSocketDir(runDir string) (string, error) {
	note := filepath.Join(runDir, "sockets.path")
	if err := sweepSockets(note); err != nil {
		return "", fmt.Errorf("remove old sockets: %w", err)
	}
	dir := filepath.Join(runDir, "s")
	if err := makeEmptyDir(dir); err != nil {
		return "", fmt.Errorf("socket directory: %w", err)
	}
	if len(dir) <= maxSocketDir {
		return dir, nil
	}
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "taskhost-")
		if err != nil {
			continue
		}
		if len(dir) > maxSocketDir {
			_ = os.Remove(dir)
			continue
		}
		if err := files.WriteDurable(note, []byte(dir)); err != nil {
			_ = os.Remove(dir)
			return "", fmt.Errorf("socket directory: %w", err)
		}
		return dir, nil
	}
	return "", fmt.Errorf("run directory %s: its path leaves no room for a unix socket (%d bytes at the most), and neither %s nor /tmp can be used instead: choose a shorter data directory",
		runDir, maxSocketDir-len("/s"), os.TempDir())
}

// sweepSockets removes the directory that note names, if it is still one that we
// made: ours, private, and named as we name them.
func sweepSockets(note string) error {
	data, err := os.ReadFile(note)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir := string(data)
	info, err := os.Lstat(dir)
	if err == nil && info.IsDir() && strings.HasPrefix(filepath.Base(dir), "taskhost-") {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Getuid() && info.Mode().Perm() == 0o700 {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return os.Remove(note)
}
