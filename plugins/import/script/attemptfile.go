package script

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/taskhost/taskhost/sdk"
)

// attemptFile is one of the two files that an attempt works on, or the metadata of an image
// that it put aside to replace the image, by its name:
// .TASK.ATTEMPT.TOKEN.MACHINE and a suffix. Whoever writes it holds a lock on it
// until the attempt ends, in whatever way: the lock goes with the process. So one
// whose lock can be had is nobody's.
type attemptFile struct {
	name    string
	stem    string // the name without its suffix: the same for all files of an attempt
	task    string
	attempt int
	machine string // where the attempt ran; "" in a name of earlier versions
}

const (
	dataSuffix  = ".part"
	metaSuffix  = ".meta"
	asideSuffix = ".aside"
)

// stem is what the names of an attempt's files begin with.
func stem(task string, attempt int, token sdk.Token) string {
	return fmt.Sprintf(".%s.%d.%s.%s", task, attempt, token, thisMachine())
}

func parseAttemptFile(name string) (attemptFile, bool) {
	suffix := filepath.Ext(name)
	isSuffix := suffix == dataSuffix || suffix == metaSuffix || suffix == asideSuffix
	stem := strings.TrimSuffix(name, suffix)
	fields := strings.Split(stem, ".")
	if !isSuffix || len(fields) != 4 && len(fields) != 5 || fields[0] != "" || !imageID.MatchString(fields[1]) {
		return attemptFile{}, false
	}
	attempt, err := strconv.Atoi(fields[2])
	if err != nil {
		return attemptFile{}, false
	}
	p := attemptFile{name: name, stem: stem, task: fields[1], attempt: attempt}
	if len(fields) == 5 {
		p.machine = fields[4]
	}
	return p, true
}

// isAside says whether these are metadata that were put aside.
func (p attemptFile) isAside() bool { return strings.HasSuffix(p.name, asideSuffix) }

// attemptFiles lists what attempts left or are at work on. What was put aside comes first,
// so that whoever removes them all removes it first: what is left of an attempt alone is put back.
func attemptFiles(dir string) ([]attemptFile, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	defer func() { _ = d.Close() }() // only read
	all, err := d.Readdirnames(-1)   // unsorted: the directory may be large
	if err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	var aside []attemptFile
	var found []attemptFile
	for _, name := range all {
		p, ok := parseAttemptFile(name)
		switch {
		case !ok:
		case p.isAside():
			aside = append(aside, p)
		default:
			found = append(found, p)
		}
	}
	return append(aside, found...), nil
}

// attemptFilesOf lists those of one task.
func attemptFilesOf(dir, task string) ([]attemptFile, error) {
	all, err := attemptFiles(dir)
	var found []attemptFile
	for _, p := range all {
		if p.task == task {
			found = append(found, p)
		}
	}
	return found, err
}

// thisMachine tells machines apart that share a directory. Locks are sure to be
// seen by all processes of one machine; over a network that depends on the file system.
var thisMachine = sync.OnceValue(func() string {
	id, _ := os.ReadFile("/etc/machine-id") // absent in many containers, which have a name of their own
	host, _ := os.Hostname()
	return fmt.Sprintf("%x", sha256.Sum256([]byte(string(id)+"\n"+host)))[:16]
})

var errLocked = errors.New("locked by another")

// flock locks f in the given manner (see flock(2)), as long as it is open.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		default:
			return err
		}
	}
}

// createLocked makes a file of an attempt's and locks it. A sweep may find it between
// the two, and have removed it by the time that the lock is had: then it is made
// again. On a file system without locks it stays without one, and no sweep will take it.
func createLocked(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
		if err != nil {
			return nil, writeError(err, 0)
		}
		if flock(f, syscall.LOCK_EX) != nil || isNamed(f, name) {
			return f, nil
		}
		_ = f.Close() // it is gone
	}
}

// openLocked opens a file that is there and locks it, unless another has: errLocked. It opens
// it for writing, without which NFS gives no lock, and writes nothing.
func openLocked(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // not written to
		return nil, err
	}
	if !isNamed(f, name) { // renamed or removed since
		_ = f.Close() // not written to
		return nil, fs.ErrNotExist
	}
	return f, nil
}

// isNamed says whether name is still the name of f.
func isNamed(f *os.File, name string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(name)
	return err == nil && os.SameFile(held, named)
}

// removeAll removes files that may be gone already.
func removeAll(dir string, names ...string) error {
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeIncomplete removes the image of a task if it has no metadata, unless the
// attempt that made it is still at work: then it is about to get them. What cannot be
// locked is left too, for nobody can know.
func removeIncomplete(dir, id string) error {
	if complete, err := hasMetadata(dir, id); err != nil || complete {
		return err
	}
	f, err := openLocked(imagePath(dir, id))
	if err != nil {
		return nil // not there, or not to be judged
	}
	defer func() { _ = f.Close() }() // not written to
	if complete, err := hasMetadata(dir, id); err != nil || complete {
		return err // it got them while the lock was waited for
	}
	return removeAll(dir, id)
}

func hasMetadata(dir, id string) (bool, error) {
	info, err := os.Lstat(metaPath(dir, id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("images_dir: look at the metadata of image %s: %w", id, err)
	}
	return info.Mode().IsRegular(), nil
}
