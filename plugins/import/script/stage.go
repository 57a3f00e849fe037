package script

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// stage is where one attempt works: two files beside the image to be, data and
// metadata, named by the attempt's token so that no other attempt writes to them, and
// locked, so that no sweep takes them. They are renamed when all is well, and removed
// otherwise.
//
// An attempt that was given up as lost may still be running somewhere. Both files exist
// from the start and the next attempt removes them, so the old one's renames
// fail: it can publish nothing any more, whenever it wakes, and what the next one published
// is as it was.
//
// An image without metadata is what a kill between the two renames left. At least one of
// the attempt's files is there as long as that may be, so that a sweep finds it.
type stage struct {
	dir    string
	id     string
	data   *os.File
	meta   *os.File
	closed bool
}

// errSuperseded ends an attempt whose successor has begun.
var errSuperseded = errors.New("another attempt of this task has taken over")

// newStage creates the two files and removes what earlier attempts left. In this
// order, of two attempts that begin at once the earlier one sees the later's files, or
// loses its own.
func newStage(dir string, t sdk.Task) (*stage, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	st := &stage{dir: dir, id: t.ID}
	own := stem(t.ID, t.Attempt, t.Token)
	var err error
	if st.data, err = createLocked(filepath.Join(dir, own+dataSuffix)); err != nil {
		return nil, err
	}
	if st.meta, err = createLocked(filepath.Join(dir, own+metaSuffix)); err == nil {
		err = st.supersede(t.Attempt, own)
	}
	if err != nil {
		st.discard()
		return nil, err
	}
	return st, nil
}

// supersede removes the files of attempts up to the given one, all of which are dead
// or given up by the host, and the image that one of them left without metadata. It
// fails if a later attempt has begun.
func (st *stage) supersede(attempt int, own string) error {
	all, err := attemptFilesOf(st.dir, st.id)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.attempt > attempt {
			return errSuperseded
		}
		if p.stem == own {
			continue
		}
		if err := removeAll(st.dir, p.name); err != nil {
			return fmt.Errorf("remove what attempt %d left: %w", p.attempt, err)
		}
	}
	return removeIncomplete(st.dir, st.id)
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
	// A successor's image is not even touched, save by an attempt that loses its files after this.
	if !isNamed(st.data, st.data.Name()) {
		return errSuperseded
	}
	if err := st.replaceImage(); err != nil {
		return err
	}
	st.closed = true
	_ = st.data.Close() // synced above: nothing is left to be written
	_ = st.meta.Close()
	return syncDir(st.dir)
}

// replaceImage renames the two files. The metadata of an image that is there are put aside
// first: they must never stand beside other bytes, whose format they would belie. If the image
// stays, they are put back: it may be the successor's, which this attempt learns from its
// rename alone.
func (st *stage) replaceImage() error {
	err := st.putMetadataAside()
	if err == nil {
		err = rename(st.data.Name(), imagePath(st.dir, st.id))
	}
	if err != nil {
		if backErr := putMetadataBack(st.dir, st.id, st.asideName()); backErr != nil {
			err = fmt.Errorf("%w (and the metadata of the image that is there: %w)", err, backErr)
		}
		return err
	}
	if err := rename(st.meta.Name(), metaPath(st.dir, st.id)); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(st.dir, st.asideName())) // otherwise a sweep does
	return nil
}

// putMetadataAside gives the metadata of an image that is there a name of this attempt's, by
// which the next attempt or a sweep finds them.
func (st *stage) putMetadataAside() error {
	err := os.Rename(metaPath(st.dir, st.id), filepath.Join(st.dir, st.asideName()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("images_dir: %w", err)
	}
	return syncDir(st.dir)
}

func (st *stage) asideName() string {
	return strings.TrimSuffix(filepath.Base(st.meta.Name()), metaSuffix) + asideSuffix
}

// putMetadataBack undoes putMetadataAside, unless the image has other metadata by now, or is
// gone.
func putMetadataBack(dir, id, aside string) error {
	if _, err := os.Lstat(imagePath(dir, id)); err == nil {
		err = os.Link(filepath.Join(dir, aside), metaPath(dir, id))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // there were none, or a sweep put them back
		}
		if err == nil {
			err = syncDir(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err // the name shows a sweep where to look
		}
	}
	return removeAll(dir, aside)
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

// discard removes what was not published, the image too if publish failed between
// its two renames: no other attempt's image, which may only look as if it had no metadata.
// Errors change nothing: the next attempt, the revert or a sweep tries again.
func (st *stage) discard() {
	if st.closed {
		return
	}
	st.closed = true
	halfPublished := st.data != nil && isNamed(st.data, imagePath(st.dir, st.id))
	for _, f := range []*os.File{st.data, st.meta} {
		if f != nil {
			_ = f.Close() // and with it the lock
		}
	}
	if halfPublished {
		_ = os.Remove(filepath.Join(st.dir, st.asideName())) // of an image that is no more
		if removeIncomplete(st.dir, st.id) != nil {
			return // the files show a sweep where to look
		}
	}
	for _, f := range []*os.File{st.data, st.meta} {
		if f != nil {
			_ = os.Remove(f.Name())
		}
	}
}

// removeImage removes the image of a task and all that its attempts left. The
// metadata lose their name first, as the last that an image gets, and keep one that a
// sweep would find them by.
func removeImage(dir, id string) error {
	hidden := filepath.Join(dir, stem(id, 0, sdk.Token{})+metaSuffix)
	if err := os.Rename(metaPath(dir, id), hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all, err := attemptFilesOf(dir, id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names := []string{id}
	for _, p := range all {
		names = append(names, p.name)
	}
	if err := removeAll(dir, names...); err != nil {
		return err
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
