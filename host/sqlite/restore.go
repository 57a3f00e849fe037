package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/taskhost/taskhost/host/files"
	"github.com/taskhost/taskhost/host/task"
)

// Restored is what Restore did.
type Restored struct {
	Path  string               `json:"path"`  // of the store, which is FILE's content now
	From  string               `json:"from"`  // FILE
	Aside string               `json:"aside"` // the directory with the files that were there; "" if there were none
	Tasks map[task.State]int64 `json:"tasks"` // in the store now
}

// Restore makes a copy of file, which is a backup or another store's file, the
// store of dir; no host may be running there. The copy is looked through first and
// must be sound. What was there before, with its log, is moved into a directory
// of dir. An error before that leaves everything as it was; after it, Restore
// can be run again, and until then a host refuses to start.
func Restore(ctx context.Context, dir, file string) (Restored, error) {
	path := filepath.Join(dir, FileName)
	out := Restored{Path: path, From: file}
	if err := restorable(path, file); err != nil {
		return out, fmt.Errorf("restore: %w", err)
	}
	if err := files.MakePrivateDir(dir); err != nil {
		return out, fmt.Errorf("restore: data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return out, fmt.Errorf("restore: %w", err)
	}
	copied := path + ".restoring"
	err = removeStore(copied)
	if err == nil {
		out.Tasks, err = restore(ctx, lock, &out, copied)
	}
	return out, errors.Join(err, removeStore(copied), lock.unlock())
}

// restorable says what is wrong with a file that is to be restored.
func restorable(path, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if there, err := os.Stat(path); err == nil && os.SameFile(info, there) {
		return fmt.Errorf("%s is the store itself; name a backup of it", file)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return fmt.Errorf("%s is empty, or no file; name a backup that \"taskhost store backup\" wrote", file)
	}
	if _, err := os.Lstat(file + "-journal"); err == nil {
		return fmt.Errorf("beside %s lies %s-journal: it was being written when it was copied; name another backup", file, file)
	}
	return refuseUnusableFile(file, lockRecord{}, false)
}

// restore makes the copy, and puts it in place.
func restore(ctx context.Context, lock *dirLock, out *Restored, copied string) (map[task.State]int64, error) {
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(copied+suffix, out.From+suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	r, k, err := prepareCopy(ctx, copied, lock.known.epoch)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", out.From, err)
	}
	if !r.OK() {
		return nil, task.Errorf(task.CodeStoreUnavailable, "restore: %s is not sound, so nothing was changed; use another backup. What is wrong: %s",
			out.From, strings.Join(r.Problems[:min(len(r.Problems), 5)], "; "))
	}
	// From here to the end a host that starts finds no store, and says so; or the new one.
	if err := lock.write(lockRecord{epoch: k.epoch}); err != nil {
		return nil, err
	}
	dir := filepath.Dir(out.Path)
	if out.Aside, err = setAside(out.Path); err != nil {
		return nil, err
	}
	giveTo(dir, copied, out.Aside)
	if err := os.Rename(copied, out.Path); err != nil {
		return nil, fmt.Errorf("put the store in place: %w; run it again", err)
	}
	if err := files.SyncDir(dir); err != nil {
		return nil, err
	}
	return r.Tasks, lock.write(k)
}

// prepareCopy brings a copy up to this program's schema, looks it through, makes
// it a store of its own that was opened no less often than the last one here, and
// carries its log over. It is on disk then.
func prepareCopy(ctx context.Context, path string, epoch uint64) (r Report, k lockRecord, err error) {
	if err := migrate(ctx, path); err != nil {
		return r, k, err
	}
	conn, err := connect(writerDSN(path))
	if err != nil {
		return r, k, err
	}
	f, err := readMeta(conn)
	if err == nil {
		f.epoch, f.store = max(f.epoch, epoch, 1), newIdentity()
		k = lockRecord{epoch: f.epoch, store: f.store, mark: f.mark}
		err = writeMeta(conn, f)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return r, k, err
	}
	if sizeOf(path+"-wal") > 0 {
		return r, k, fmt.Errorf("its log could not be carried over")
	}
	r = Report{Path: path, Tasks: map[task.State]int64{}}
	db, err := openReaders(path, 1)
	if err != nil {
		return r, k, err
	}
	if err = errors.Join(r.look(ctx, db), db.Close()); err != nil {
		return r, k, err
	}
	f2, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return r, k, err
	}
	return r, k, errors.Join(f2.Sync(), f2.Close())
}

// setAside moves the files of a store into a directory beside it, and names it;
// "" if there are none. It can be opened there as it could be here.
func setAside(path string) (string, error) {
	var there []string
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if _, err := os.Lstat(path + suffix); err == nil {
			there = append(there, path+suffix)
		}
	}
	if len(there) == 0 {
		return "", nil
	}
	dir := filepath.Dir(path)
	aside, err := os.MkdirTemp(dir, time.Now().UTC().Format("before-restore-20060102T150405Z-")+"*")
	if err != nil {
		return "", fmt.Errorf("set the old store aside: %w", err)
	}
	for _, name := range there {
		if err := os.Rename(name, filepath.Join(aside, filepath.Base(name))); err != nil {
			return aside, fmt.Errorf("set the old store aside: %w; run it again", err)
		}
	}
	return aside, errors.Join(files.SyncDir(aside), files.SyncDir(dir))
}

// giveTo gives what root made to the user whose the directory is, who could not
// open it otherwise.
func giveTo(dir string, names ...string) {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		for _, name := range append(names, filepath.Join(dir, LockName)) {
			_ = os.Chown(name, int(st.Uid), int(st.Gid)) // who opens it is told
		}
	}
}

// removeStore removes a store's files, if they are there.
func removeStore(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyFile copies a file into a new one for its owner alone.
func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}
