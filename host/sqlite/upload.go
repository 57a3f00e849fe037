package sqlite

import (
	"bytes"
	"context"

	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlUpload    = `SELECT type, data FROM upload WHERE task = ? AND token = ?`
	sqlTaskToken = `SELECT token FROM task WHERE seq = ?`
)

// SaveUpload implements task.UploadStore.
func (s *Store) SaveUpload(ctx context.Context, seq int64, token task.Token, u task.Upload) error {
	if u.Data == nil {
		u.Data = []byte{}
	}
	o := &uploadOp{seq: seq, token: token, upload: u}
	if err := s.w.do(ctx, o); err != nil {
		return err
	}
	return o.refused
}

// Upload implements task.UploadStore.
func (s *Store) Upload(ctx context.Context, seq int64, token task.Token) (task.Upload, error) {
	var u task.Upload
	found := false
	err := s.rows(ctx, sqlUpload, []any{seq, token[:]}, 2, func(r row) bool {
		found = true
		u = task.Upload{ContentType: r.text(0), Data: r.blob(1)}
		return false
	})
	if err == nil && !found {
		err = task.Errorf(task.CodeNotFound, "the attempt has uploaded nothing, or has ended")
	}
	return u, err
}

type uploadOp struct {
	seq     int64
	token   task.Token
	upload  task.Upload
	refused error
}

func (o *uploadOp) size() (rows, bytes int) { return 1, len(o.upload.Data) }

func (o *uploadOp) run(w *writer) error {
	o.refused = nil
	st := w.st.taskToken
	st.bind().int(o.seq)
	found, err := st.one()
	if err != nil {
		return err
	}
	if !found || !bytes.Equal(st.row.blob(0), o.token[:]) {
		o.refused = task.Errorf(task.CodeConflict, "the attempt does not hold its task any more: what it uploads is not kept")
		return nil
	}
	w.uploads.saved(o.seq)
	st = w.st.uploadPut
	st.bind().int(o.seq).blob(o.token[:]).value(o.upload.ContentType).blob(o.upload.Data)
	return st.run()
}

// uploads knows which tasks may have an upload, so that the end of an attempt without
// one, which is nearly every one's, costs nothing. It is the writer's.
type uploads struct {
	tasks   map[int64]bool // by their order keys
	dropped []int64        // by the open transaction
}

func (u *uploads) saved(seq int64) {
	if u.tasks == nil {
		u.tasks = map[int64]bool{}
	}
	u.tasks[seq] = true
}

func (u *uploads) commit() {
	for _, seq := range u.dropped {
		delete(u.tasks, seq)
	}
	u.dropped = u.dropped[:0]
}

// rollback keeps the tasks whose upload was not dropped, and those whose was not saved:
// they have none, and to drop it does no harm.
func (u *uploads) rollback() { u.dropped = u.dropped[:0] }

// endAttempt notes that no attempt holds the row any more, and drops what it uploaded.
func (w *writer) endAttempt(seq int64) error {
	w.leaveFlight(seq)
	if !w.uploads.tasks[seq] {
		return nil
	}
	st := w.st.uploadDelete
	st.bind().int(seq)
	if err := st.run(); err != nil {
		return err
	}
	w.uploads.dropped = append(w.uploads.dropped, seq)
	return nil
}
