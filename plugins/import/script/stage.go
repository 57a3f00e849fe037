package script

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// stage is where one attempt works: two files beside the image to be, data and
// metadata, named by the attempt's token so that no other attempt writes to them. They are
// renamed when all is well, and removed otherwise.
//
// An attempt that was given up as lost may still be running somewhere. Both files exist
// from the start and the next attempt removes them, so the old one's renames
// fail: it can publish nothing any more, whenever it wakes.
type stage struct {
	dir   string
	id    string
	data  *os.File
	meta  *os.File
	ended bool
}

const (
	dataSuffix = ".part"
	metaSuffix = ".meta"
)

// errSuperseded ends an attempt whose successor has begun.
var errSuperseded = errors.New("another attempt of this task has taken over")

// newStage removes what earlier attempts left and creates the two files.
func newStage(dir string, t sdk.Task) (*stage, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	if err := sweep(dir, t.ID, t.Attempt); err != nil {
		return nil, err
	}
	st := &stage{dir: dir, id: t.ID}
	base := filepath.Join(dir, fmt.Sprintf(".%s.%d.%s", t.ID, t.Attempt, t.Token))
	var err error
	if st.data, err = create(base + dataSuffix); err != nil {
		return nil, err
	}
	if st.meta, err = create(base + metaSuffix); err != nil {
		st.discard()
		return nil, err
	}
	return st, nil
}

func create(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, writeError(err, 0)
	}
	return f, nil
}

// publish makes the staged data the image. Both files are on disk before either
// has its name, and the names are on disk when it returns: after a power cut the image is
// whole or absent. The metadata comes last; with them, an image is complete.
func (st *stage) publish(ctx context.Context, meta []byte) error {
	if _, err := st.meta.Write(meta); err != nil {
		return writeError(err, 0)
	}
	for _, f := range []*os.File{st.data, st.meta} {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("images_dir: %w", err)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	data, sidecar := imagePath(st.dir, st.id), metaPath(st.dir, st.id)
	if err := rename(st.data.Name(), data); err != nil {
		return err
	}
	if err := rename(st.meta.Name(), sidecar); err != nil {
		if !errors.Is(err, errSuperseded) { // else it is the successor's by now
			_ = os.Remove(data) // without metadata it is no image; err is the news
		}
		return err
	}
	st.ended = true
	_ = st.data.Close() // synced above: nothing is left to be written
	_ = st.meta.Close()
	return syncDir(st.dir)
}

func rename(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return errSuperseded
	}
	if err != nil {
		return fmt.Errorf("images_dir: %w", err)
	}
	return nil
}

// discard removes what was not published. Errors change nothing: the next
// attempt, or the revert, tries again.
func (st *stage) discard() {
	if st.ended {
		return
	}
	st.ended = true
	for _, f := range []*os.File{st.data, st.meta} {
		if f != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}
}

// sweep removes the files of attempts up to the given one, all of which are dead
// or given up by the host. It fails if a later attempt has begun.
func sweep(dir, id string, attempt int) error {
	names, err := staged(dir, id)
	if err != nil {
		return err
	}
	for name, n := range names {
		if n > attempt {
			return errSuperseded
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what attempt %d left: %w", n, err)
		}
	}
	return nil
}

// staged lists the files that attempts of a task work on, with the attempt's number.
func staged(dir, id string) (map[string]int, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	defer func() { _ = d.Close() }() // only read
	all, err := d.Readdirnames(-1)   // unsorted: the directory may be large
	if err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	found := map[string]int{}
	for _, name := range all {
		rest, ok := strings.CutPrefix(name, "."+id+".")
		if !ok || !strings.HasSuffix(name, dataSuffix) && !strings.HasSuffix(name, metaSuffix) {
			continue
		}
		number, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(number); err == nil {
			found[name] = n
		}
	}
	return found, nil
}

// removeImage removes the image of a task and all that its attempts left, the
// metadata first: an image without them is known to be incomplete.
func removeImage(dir, id string) error {
	names, err := staged(dir, id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	paths := []string{metaPath(dir, id), imagePath(dir, id)}
	for name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(dir)
}

func imagePath(dir, id string) string { return filepath.Join(dir, id) }
func metaPath(dir, id string) string  { return filepath.Join(dir, id+".json") }

// syncDir makes renames and removals durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("images_dir: %w", err)
	}
	err = d.Sync()
	_ = d.Close() // only read
	if err != nil {
		return fmt.Errorf("images_dir: %w", err)
	}
	return nil
}
