package sqlite

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

const (
	tokenColumns   = `id, owner, name, role, hash, created_at, expires_at, used_at`
	tokenCount     = 8
	sqlTokens      = `SELECT ` + tokenColumns + ` FROM access_token ORDER BY id DESC`
	sqlTokenNamed  = `SELECT id FROM access_token WHERE owner = ? AND name = ?`
	sqlTokenCount  = `SELECT count(*) FROM access_token`
	sqlTokenInsert = `INSERT INTO access_token (` + tokenColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	sqlTokenDelete = `DELETE FROM access_token WHERE id = ?`
	sqlTokenUsed   = `UPDATE access_token SET used_at = ? WHERE id = ?`

	auditColumns   = `id, at, name, owner, role, way, token, address, request, action, target, status`
	auditCount     = 12
	sqlAuditInsert = `INSERT INTO audit (` + auditColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlAuditList   = `SELECT ` + auditColumns + ` FROM audit WHERE id < ?1 AND (?2 = '' OR owner = ?2) AND (?3 = '' OR action = ?3) AND (?4 = '' OR name = ?4)
AND at > ?5 AND (?6 = 0 OR at < ?6) ORDER BY id DESC LIMIT +?7`
	sqlAuditForget = `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT +?)`
)

func readToken(r row) (t identity.Token) {
	copy(t.ID[:], r.blob(0))
	t.Owner, t.Name, t.Role = r.text(1), r.text(2), identity.Role(r.text(3))
	copy(t.Hash[:], r.blob(4))
	t.CreatedAt, t.ExpiresAt, t.UsedAt = r.time(5), r.time(6), r.time(7)
	return t
}

// Tokens implements identity.Store.
func (s *Store) Tokens(ctx context.Context) (out []identity.Token, err error) {
	err = s.rows(ctx, sqlTokens, nil, tokenCount, func(r row) bool {
		out = append(out, readToken(r))
		return true
	})
	return out, err
}

// InsertToken implements identity.Store.
func (s *Store) InsertToken(ctx context.Context, t identity.Token) error {
	n := int64(0)
	if err := s.rows(ctx, sqlTokenCount, nil, 1, func(r row) bool { n = r.int(0); return false }); err != nil {
		return err
	}
	if n >= identity.MaxTokens { // few that come at once may pass it: it bounds what a host keeps in memory
		return task.Errorf(task.CodeConflict, "there are %d tokens, and no more are kept: revoke some", n)
	}
	return s.guarded(ctx, 1, func(w *writer) (refused, err error) {
		st := w.st.tokenNamed
		st.bind().value(t.Owner).value(t.Name)
		found, err := st.one()
		if err != nil {
			return nil, err
		}
		if found {
			var holder task.ID
			copy(holder[:], st.row.blob(0))
			return &task.Error{Code: task.CodeConflict, Message: "token " + holder.String() + " of owner " + t.Owner + " has the name " + t.Name + " already",
				Fields: []task.FieldError{{Path: []string{"name"}, Message: "is taken by token " + holder.String()}}}, nil
		}
		st = w.st.tokenInsert
		st.bind().blob(t.ID[:]).value(t.Owner).value(t.Name).value(string(t.Role)).blob(t.Hash[:]).int(micros(t.CreatedAt)).opt(micros(t.ExpiresAt)).opt(micros(t.UsedAt))
		return nil, st.run()
	})
}

// DeleteToken implements identity.Store.
func (s *Store) DeleteToken(ctx context.Context, id task.ID) error {
	return s.guarded(ctx, 1, func(w *writer) (refused, err error) {
		w.st.tokenDelete.bind().blob(id[:])
		n, err := w.st.tokenDelete.changed()
		if err == nil && n == 0 {
			refused = noSuch("token", id)
		}
		return refused, err
	})
}

// UseTokens implements identity.Store.
func (s *Store) UseTokens(ctx context.Context, used map[task.ID]time.Time) error {
	return s.guarded(ctx, len(used), func(w *writer) (refused, err error) {
		for id, at := range used {
			w.st.tokenUsed.bind().int(micros(at)).blob(id[:])
			if err := w.st.tokenUsed.run(); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// AppendEvents implements identity.Store.
func (s *Store) AppendEvents(ctx context.Context, events []identity.Event) error {
	return s.guarded(ctx, len(events), func(w *writer) (refused, err error) {
		st := w.st.auditInsert
		for i := range events {
			e := &events[i]
			st.bind().blob(e.ID[:]).int(micros(e.At)).value(e.Name).value(e.Owner).value(string(e.Role)).value(string(e.By)).id((*[16]byte)(&e.Token)).
				value(e.Address).value(e.RequestID).value(e.Action).value(e.Target).int(int64(e.Status))
			if err := st.run(); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// Events implements identity.Store.
func (s *Store) Events(ctx context.Context, f identity.Filter) (page identity.Page, err error) {
	from, limit := newestFirst(f.Cursor, f.Limit)
	err = s.rows(ctx, sqlAuditList, []any{from, f.Owner, f.Action, f.Name, micros(f.After), micros(f.Before), limit + 1}, auditCount, func(r row) bool {
		e := identity.Event{At: r.time(1), Name: r.text(2), Owner: r.text(3), Role: identity.Role(r.text(4)), By: identity.Way(r.text(5)), Address: r.text(7),
			RequestID: r.text(8), Action: r.text(9), Target: r.text(10), Status: int(r.int(11))}
		copy(e.ID[:], r.blob(0))
		copy(e.Token[:], r.blob(6))
		page.Events = append(page.Events, e)
		return true
	})
	if err == nil && len(page.Events) > limit {
		page.Events = page.Events[:limit]
		page.Next = page.Events[limit-1].ID
	}
	return page, err
}

// ForgetEvents implements identity.Store.
func (s *Store) ForgetEvents(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.guarded(ctx, limit, func(w *writer) (refused, err error) {
		w.st.auditForget.bind().int(micros(before)).int(int64(limit))
		gone, err := w.st.auditForget.changed()
		n = int(gone)
		return nil, err
	})
	return n, err
}
