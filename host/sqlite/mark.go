package sqlite

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/taskhost/taskhost/host/files"
)

// logNoted and logPart are by how much the log must have grown for the lock file to
// say so: by so many bytes, and by that part of it. It then does so some twenty
// times in the life of a process, for the file is used anew once it was carried over.
const (
	logNoted = 1 << 20
	logPart  = 4
)

// logRows is after how many rows the log's size is looked at.
const logRows = 256

// logMost is as large as a log file stays when it is begun anew: SQLite cuts it
// to this, and no more may be missed of it.
const logMost = 64 << 20

// identify counts this open in the store and in the lock file, and gives a new
// store its identity. What the lock file says is durable in the store before.
func (s *Store) identify(conn *sqlite3.SQLiteConn) error {
	k := s.lock.known
	f, err := readMeta(conn)
	if err != nil {
		return err
	}
	stored := f.store > 0 && f.store == k.store
	if f.store <= 0 {
		f.store = newIdentity()
	}
	if !stored {
		// Until the file has it, nobody may be held to it.
		if err := s.lock.write(lockRecord{epoch: k.epoch}); err != nil {
			return err
		}
		if err := writeMeta(conn, f); err != nil {
			return err
		}
	}
	carried, err := carryOver(conn)
	if err != nil {
		return err
	}
	// A store put back from a backup must not give an epoch twice: plugins obey the highest.
	s.epoch = max(f.epoch, k.epoch) + 1
	f.epoch = s.epoch
	if carried {
		f.mark++
	}
	if err := writeMeta(conn, f); err != nil {
		return err
	}
	k = lockRecord{epoch: s.epoch, mark: f.mark}
	if stored || carried {
		k.store = f.store
	}
	if err := s.lock.write(k); err != nil {
		return err
	}
	s.w.feed = newFeed(s.epoch)
	s.w.marker = &marker{lock: s.lock, meta: f, log: filepath.Join(s.dir, FileName+"-wal")}
	return files.SyncDir(s.dir)
}

// newIdentity is 63 random bits, not 0.
func newIdentity() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return int64(binary.LittleEndian.Uint64(b[:])>>1 | 1)
}

// readMeta reads what a store says of itself on an open connection.
func readMeta(conn *sqlite3.SQLiteConn) (f storeMeta, err error) {
	for name, to := range map[string]func(int64){
		"epoch": func(v int64) { f.epoch = uint64(v) }, "store": func(v int64) { f.store = v }, "mark": func(v int64) { f.mark = v },
	} {
		v, err := scalar(conn, `SELECT value FROM meta WHERE name = '`+name+`'`)
		if err != nil {
			return f, fmt.Errorf("read %s: %w", name, err)
		}
		if n, ok := v.(int64); ok {
			to(n)
		}
	}
	return f, nil
}

// writeMeta has the store say them of itself, all at once.
func writeMeta(conn *sqlite3.SQLiteConn, f storeMeta) error {
	_, err := conn.Exec(fmt.Sprintf(`INSERT INTO meta (name, value) VALUES ('epoch', %d), ('store', %d), ('mark', %d), ('sum', %d)
ON CONFLICT (name) DO UPDATE SET value = excluded.value`, f.epoch, f.store, f.mark, f.sum()), nil)
	if err != nil {
		return fmt.Errorf("count this open in the store: %w", unavailable(err))
	}
	return nil
}

// carryOver carries the log over into the store; false if a reader kept part of it back.
func carryOver(conn *sqlite3.SQLiteConn) (bool, error) {
	st, err := prepare(conn, sqlCheckpoint, 3)
	if err != nil {
		return false, err
	}
	if _, err = st.one(); err != nil {
		err = fmt.Errorf("carry the log over: %w", unavailable(err))
	}
	whole := carriedOver(st.row)
	if closeErr := st.s.Close(); err == nil {
		err = closeErr
	}
	return whole, err
}

// carriedOver reads the answer of a checkpoint.
func carriedOver(r row) bool { return r.int(0) == 0 && r.int(1) == r.int(2) }

// marker keeps the lock file up with the store while a host runs: seldom, for
// each time costs an fsync. It is the writer's.
type marker struct {
	lock *dirLock
	meta storeMeta // in the store
	due  bool      // the mark is to be raised by the next commit: all of the log was carried over
	log  string    // the log's file
	rows int       // written since it was looked at
}

// commit raises the mark in the open transaction, if it is due.
func (m *marker) commit(w *writer) error {
	if m == nil || !m.due {
		return nil
	}
	next := m.meta
	next.mark++
	w.st.markPut.bind().int(next.mark).int(next.sum())
	return w.st.markPut.run()
}

// committed has the lock file say what is durable now, if that is news. An error
// is none of the store's: what the file says then is behind, and never false.
func (m *marker) committed(rows int) {
	if m == nil {
		return
	}
	if m.rows += rows; m.rows < logRows && !m.due {
		return
	}
	m.rows = 0
	size := min(sizeOf(m.log), logMost)
	k := m.lock.known
	if m.due {
		m.due = false
		m.meta.mark++
		k.store, k.mark = m.meta.store, m.meta.mark
	} else if size < k.log+max(logNoted, k.log/logPart) {
		return
	}
	k.log = size
	_ = m.lock.write(k)
}
