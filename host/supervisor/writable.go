package supervisor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// writableByOthers is an error, which says what to do, if others than its owner may change
// the plugin at path: the file, or the directory in which it could be replaced. Whoever may
// do that runs what they like as this host.
func writableByOthers(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	look := []string{real, filepath.Dir(real)}
	if dir := filepath.Dir(path); dir != look[1] { // where the link stands
		look = append(look, dir)
	}
	for _, p := range look {
		info, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("plugin: %w", err)
		}
		if !othersMayWrite(info) {
			continue
		}
		return fmt.Errorf("plugin %s is refused: others than the owner of %s may write to it (its mode is %04o), and so run what they like as this host; "+
			"chmod go-w %s, or set allow_writable_plugins = true", path, p, info.Mode().Perm(), p)
	}
	return nil
}

// othersMayWrite judges by the permission bits. A group that has its owner's number is the
// owner's own, as most systems make one for each user.
func othersMayWrite(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == st.Gid {
		return mode&0o002 != 0
	}
	return mode&0o022 != 0
}
