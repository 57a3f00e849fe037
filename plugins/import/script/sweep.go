package script

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	sweepEvery = time.Hour
	// staleAfter is for files of other machines, whose locks this one may not see: so
	// long without a write, and without a lock as far as can be seen, they are nobody's.
	staleAfter = 24 * time.Hour
)

// upkeep removes what killed attempts left: at once, for this process may be the
// successor of theirs, and from time to time, for others may be killed that share the directory.
func (im *importer) upkeep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := im.sweep(ctx); err != nil && ctx.Err() == nil {
			im.log.Warn("cannot remove all that killed attempts left", "images_dir", im.cfg.ImagesDir, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweep removes the files of dead attempts, and images that they left without
// metadata. It touches nothing of an attempt that is alive, in whatever process.
func (im *importer) sweep(ctx context.Context) error {
	dir := string(im.cfg.ImagesDir)
	all, err := attemptFiles(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the first attempt makes it
	}
	if err != nil {
		return err
	}
	attempts := map[string][]attemptFile{}
	for _, p := range all {
		attempts[p.stem] = append(attempts[p.stem], p)
	}
	var errs []error
	for _, files := range attempts {
		if ctx.Err() != nil {
			break
		}
		removed, err := sweepAttempt(dir, files, im.now())
		if err != nil {
			errs = append(errs, fmt.Errorf("attempt %d of task %s: %w", files[0].attempt, files[0].task, err))
		}
		if removed {
			im.log.Info("removed what a killed attempt left", "task", files[0].task, "attempt", files[0].attempt)
		}
	}
	return errors.Join(errs...)
}

// sweepAttempt removes the files of one attempt if it is dead. It holds their locks
// meanwhile, so that of two sweeps one does it.
func sweepAttempt(dir string, files []attemptFile, now time.Time) (removed bool, err error) {
	var names []string
	for _, p := range files {
		f, err := openLocked(filepath.Join(dir, p.name))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLocked) {
			return false, nil // published or discarded meanwhile, or alive
		}
		if err != nil {
			return false, err
		}
		defer func() { _ = f.Close() }() // not written to
		if dead, err := isDead(f, p, now); err != nil || !dead {
			return false, err
		}
		names = append(names, p.name)
	}
	if len(files) == 1 && files[0].isAside() {
		return restoreMetadata(dir, files[0])
	}
	// The image first: these files are what it is found by.
	if err := removeIncomplete(dir, files[0].task); err != nil {
		return false, err
	}
	if err := removeAll(dir, names...); err != nil {
		return false, err
	}
	return true, syncDir(dir)
}

// restoreMetadata handles metadata that are all that a dead attempt left. Either it was
// superseded and the image is its successor's, whole with them, or it gave the image its own
// and was about to remove these. While another attempt has files there, the image may be
// about to get that one's.
func restoreMetadata(dir string, aside attemptFile) (done bool, err error) {
	all, err := attemptFilesOf(dir, aside.task)
	if err != nil || len(all) > 1 {
		return false, err // a later sweep
	}
	if err := putMetadataBack(dir, aside.task, aside.name); err != nil {
		return false, err
	}
	return true, syncDir(dir)
}

// isDead says whether a file whose lock was to be had is nobody's.
func isDead(f *os.File, p attemptFile, now time.Time) (bool, error) {
	if p.machine == thisMachine() {
		return true, nil
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	return now.Sub(info.ModTime()) >= staleAfter, nil
}
