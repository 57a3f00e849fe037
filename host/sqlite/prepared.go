package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// stmt is a prepared statement of one connection with room for its arguments
// and one row, so that running it allocates little. It runs through the
// driver's query path even if it writes: that path resets, binds and steps in
// one call into C, where the exec path makes a call for each argument.
type stmt struct {
	s    *sqlite3.SQLiteStmt
	sql  string
	args []driver.NamedValue
	next arg
	row  row
}

// prepare makes a statement. columns is how many it returns; 0 for none.
func prepare(conn *sqlite3.SQLiteConn, sql string, columns int) (*stmt, error) {
	p, err := conn.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", sql, err)
	}
	s := p.(*sqlite3.SQLiteStmt)
	st := &stmt{s: s, sql: sql, args: make([]driver.NamedValue, s.NumInput()), row: make(row, columns)}
	for i := range st.args {
		st.args[i].Ordinal = i + 1
	}
	return st, nil
}

// arg sets the next arguments in order; see args.
type arg struct {
	to []driver.NamedValue
	n  int
}

func (s *stmt) bind() *arg {
	s.next = arg{to: s.args}
	return &s.next
}

func (a *arg) value(v driver.Value) *arg {
	a.to[a.n].Value = v
	a.n++
	return a
}

// int costs no memory if the argument is as it was, which most are from one row to the next.
func (a *arg) int(v int64) *arg {
	if was, ok := a.to[a.n].Value.(int64); ok && was == v {
		a.n++
		return a
	}
	return a.value(v)
}

// opt is NULL for 0.
func (a *arg) opt(v int64) *arg {
	if v == 0 {
		return a.value(nil)
	}
	return a.int(v)
}

// text is NULL for "". It costs memory as int does.
func (a *arg) text(v string) *arg {
	if v == "" {
		return a.value(nil)
	}
	if was, ok := a.to[a.n].Value.(string); ok && was == v {
		a.n++
		return a
	}
	return a.value(v)
}

// blob is NULL for nil.
func (a *arg) blob(v []byte) *arg {
	if v == nil {
		return a.value(nil)
	}
	return a.value(v)
}

// id is NULL for one of zeros only.
func (a *arg) id(v *[16]byte) *arg {
	if *v == [16]byte{} {
		return a.value(nil)
	}
	return a.value(v[:])
}

// run executes a statement that returns no rows.
func (s *stmt) run() error {
	rows, err := s.s.QueryContext(context.Background(), s.args)
	if err != nil {
		return err
	}
	return rows.Close()
}

// changed executes a statement that returns no rows and says how many it
// changed. Only the driver's exec path tells; it is the slower one, though less
// so than RETURNING.
func (s *stmt) changed() (int64, error) {
	r, err := s.s.ExecContext(context.Background(), s.args)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// one executes a statement and keeps its first row in s.row, which is valid
// until the statement runs again; false if there is none.
func (s *stmt) one() (bool, error) {
	found := false
	err := s.each(func(row) bool { found = true; return false })
	return found, err
}

// each executes a statement and calls f with every row until f says false.
func (s *stmt) each(f func(row) bool) error {
	rows, err := s.s.QueryContext(context.Background(), s.args)
	if err != nil {
		return err
	}
	for {
		err = rows.Next(s.row)
		if err != nil || !f(s.row) {
			break
		}
	}
	if err == io.EOF {
		err = nil
	}
	if closeErr := rows.Close(); err == nil {
		err = closeErr
	}
	return err
}
