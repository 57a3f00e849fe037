// Package files writes files that a power cut cannot tear.
package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Replace replaces a file in one step that a power cut cannot tear: whoever
// reads it, now or after a crash, finds the old bytes or all of the new ones.
// Only the owner may read it. Two at once must not write the same path.
func Replace(path string, data []byte) error {
	tmp := path + ".new"
	// One that a crash left may have another mode.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", path, err), os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// StableID is an id of the directory at dir, made at random when it is asked for first. A
// copy of the directory has the same.
func StableID(dir string) (string, error) {
	path := filepath.Join(dir, "host-id")
	if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
		return string(data), nil
	}
	id := rand.Text()
	return id, Replace(path, []byte(id))
}
