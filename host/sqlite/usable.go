package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/taskhost/taskhost/host/task"
)

// What an operator can do about a store that is not what it was.
func doRestore(path string) string {
	return "put a backup in its place with " + storeCommand("restore", path, " FILE")
}

const doAccept = `or start once with --accept-older-store to go on with what is there`

// storeCommand is a command of the command line, as it can be copied, for the store at path.
func storeCommand(verb, path, args string) string {
	return fmt.Sprintf("%q", "taskhost store "+verb+" --data-dir "+filepath.Dir(path)+args)
}

// refuseUnusableFile refuses what must not be opened as the store at path: what is none, what
// has lost its log, what is another or an older one than was opened last. All of
// that would otherwise go unseen: SQLite makes a new store of an empty file, carries
// any log that lies beside a file over into it, and goes on without one that has
// gone. It changes nothing. acceptOlder lets a store pass that lacks the last
// work; a log is never carried over into a store that it is not of.
func refuseUnusableFile(path string, k lockRecord, acceptOlder bool) error {
	if done, err := lookAtFile(path, k); done || err != nil {
		return err
	}
	logSize := sizeOf(path + "-wal")
	alone, err := readMetaOf(path, url.Values{"mode": {"ro"}, "immutable": {"1"}})
	if err != nil && logSize == 0 {
		if k.epoch == 0 {
			return nil // perhaps a first open was cut short; opening it will tell
		}
		return damaged(path, err)
	}
	if err == nil {
		if err := alone.refuseWithoutLog(path, k, logSize); err != nil {
			return err
		}
	}
	if k.epoch == 0 || acceptOlder {
		return nil
	}
	return refuseOlder(path, k, alone, err == nil && (alone.whole || logSize == 0), logSize)
}

// lookAtFile looks at names and at the first bytes; done says that there is
// nothing to look at yet.
func lookAtFile(path string, k lockRecord) (done bool, err error) {
	refuse := func(format string, args ...any) (bool, error) {
		return false, task.Errorf(task.CodeStoreUnavailable, format, args...)
	}
	lock := filepath.Join(filepath.Dir(path), LockName)
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && k.epoch > 0:
		return refuse("%s is missing, though a store was opened here %d times: %s, or remove %s to begin an empty store", path, k.epoch, doRestore(path), lock)
	case errors.Is(err, fs.ErrNotExist) && sizeOf(path+"-wal") > 0:
		return refuse("%s is missing, and its write-ahead log %s-wal is there: put the file back that belongs to it, or move the log away to begin an empty store", path, path)
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("open store: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := os.Lstat(path + "-journal"); err == nil {
		if k.epoch == 0 {
			return true, nil // a first open was cut short, and SQLite will undo what got to the disk of it
		}
		return refuse("beside the store %s lies %s-journal, which is not its own and would be carried over into it: move it away", path, path)
	}
	return lookAtHead(f, path, k)
}

// lookAtHead looks at the first bytes; done says that there is nothing to look at yet.
func lookAtHead(f io.Reader, path string, k lockRecord) (done bool, err error) {
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, fmt.Errorf("read store: %w", err)
	}
	switch {
	case n == 0 && k.epoch == 0 && sizeOf(path+"-wal") == 0:
		return true, nil // a first open was cut short
	case n == 0:
		return false, task.Errorf(task.CodeStoreUnavailable, "%s is empty, and there was a store before: %s, or remove it and %s to begin an empty store",
			path, doRestore(path), filepath.Join(filepath.Dir(path), LockName))
	case string(head[:n]) != "SQLite format 3\x00":
		return false, task.Errorf(task.CodeStoreUnavailable, "%s is not a store, or it is damaged: %s; it was not touched", path, doRestore(path))
	}
	return false, nil
}

// refuseWithoutLog judges the file without its log.
func (f storeMeta) refuseWithoutLog(path string, k lockRecord, logSize int64) error {
	switch {
	case !f.ours && (k.epoch > 0 || f.tables > 0 && logSize == 0):
		return task.Errorf(task.CodeStoreUnavailable,
			"%s is a database of SQLite, and holds no store of taskhost: %s, or move it away; it was not touched", path, doRestore(path))
	case logSize == 0, !f.whole: // what was half carried over when the power went, only the log can tell
		return nil
	case f.store == 0, // a backup, which has none
		k.store != 0 && f.store != k.store,
		k.store != 0 && f.mark < k.mark-1:
		return task.Errorf(task.CodeStoreUnavailable,
			"the write-ahead log %s-wal is not of the store %s beside it, which was put there without \"taskhost store restore\": move the log and %s-shm away if the store is the right one, "+
				"or use %s, which does it; nothing was touched", path, path, path, storeCommand("restore", path, " FILE"))
	}
	return nil
}

// refuseOlder refuses a store that has not all that was acknowledged: one that is
// older than the last that was opened, and one whose log is gone or cut.
func refuseOlder(path string, k lockRecord, alone storeMeta, readable bool, logSize int64) error {
	missing := func(what string) error {
		return task.Errorf(task.CodeStoreUnavailable, "%s: work that was acknowledged may be missing. Put back what is right, %s, %s; nothing was touched", what, doRestore(path), doAccept)
	}
	if k.store != 0 && readable && alone.store != k.store {
		return missing(fmt.Sprintf("%s is not the store that was opened here last, but a backup or another", path))
	}
	needed := k.store != 0 && readable && alone.mark < k.mark
	if needed && logSize < k.log {
		return missing(fmt.Sprintf("the write-ahead log %s-wal is cut: it has %d bytes, and had %d", path, logSize, k.log))
	}
	whole, err := metaWithLog(path, alone, logSize)
	if err != nil {
		return err
	}
	if whole.epoch >= k.epoch && (k.store == 0 || whole.mark >= k.mark) {
		return nil
	}
	switch {
	case logSize > 0:
		return missing(fmt.Sprintf("the write-ahead log %s-wal is cut or damaged", path))
	case needed && alone.mark == k.mark-1:
		return missing(fmt.Sprintf("the write-ahead log %s-wal is gone, and had what was not yet in the store", path))
	}
	return missing(fmt.Sprintf("the store %s is older than it was when it was opened last (epoch %d, and was %d)", path, whole.epoch, k.epoch))
}

// metaWithLog is what the store says of itself with its log, if it has one.
func metaWithLog(path string, alone storeMeta, logSize int64) (storeMeta, error) {
	if logSize == 0 {
		return alone, nil
	}
	whole, err := readMetaOf(path, url.Values{"mode": {"ro"}})
	if err != nil {
		return whole, damaged(path, err)
	}
	return whole, nil
}

// storeMeta is what a store says of itself.
type storeMeta struct {
	tables int
	ours   bool   // it has the tables of a store
	epoch  uint64 // how often it was opened
	store  int64  // its identity; 0 for a backup, negative if it has none yet
	mark   int64  // see lockRecord
	whole  bool   // the four are of one commit
}

// sum is kept beside the numbers: a power cut while the log is carried over leaves
// half a page in the file, and then they do not fit.
func (f storeMeta) sum() int64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, []int64{int64(f.epoch), f.store, f.mark}) // never fails
	return int64(h.Sum64() >> 1)
}

// readMetaOf reads them, beside a host or without one.
func readMetaOf(path string, how url.Values) (f storeMeta, err error) {
	how.Set("_busy_timeout", "10000")
	c, err := (&sqlite3.SQLiteDriver{}).Open(dsn(path, how))
	if err != nil {
		return f, err
	}
	conn := c.(*sqlite3.SQLiteConn)
	defer func() { err = errors.Join(err, conn.Close()) }()
	number := func(query string) int64 {
		v, qerr := scalar(conn, query)
		err = errors.Join(err, qerr)
		n, _ := v.(int64)
		return n
	}
	f.tables = int(number(`SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('goose_db_version', 'sqlite_sequence')`))
	f.ours = number(`SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('meta', 'task', 'lane', 'history')`) == 4
	f.store = -1
	if !f.ours || err != nil {
		return f, err
	}
	f.epoch = uint64(number(`SELECT coalesce((SELECT value FROM meta WHERE name = 'epoch'), 0)`))
	f.store = number(`SELECT coalesce((SELECT value FROM meta WHERE name = 'store'), -1)`)
	f.mark = number(`SELECT coalesce((SELECT value FROM meta WHERE name = 'mark'), 0)`)
	f.whole = number(`SELECT coalesce((SELECT value FROM meta WHERE name = 'sum'), -1)`) == f.sum()
	return f, err
}

// sizeOf is a file's size; 0 if there is none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
