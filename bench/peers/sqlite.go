package peers

import (
	"database/sql"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/mattn/go-sqlite3"
)

type pgxTx = pgx.Tx

// openSQLite opens a database the way River's and goqite's documentation ask for: with one
// connection. The driver would set synchronous = NORMAL, under which what was committed last is
// lost with the power.
func openSQLite(file string) (*sql.DB, error) {
	v := url.Values{"_journal": {"WAL"}, "_synchronous": {"FULL"}, "_timeout": {"5000"}, "_fk": {"true"}}
	db, err := sql.Open("sqlite3", "file:"+file+"?"+v.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	return db, nil
}

func sqliteVersion() string {
	v, _, _ := sqlite3.Version()
	return "SQLite " + v
}
