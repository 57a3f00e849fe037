package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// dsn names a database file to the driver, whatever characters its path has.
func dsn(path string, params url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode()
}

// How much of the store the writer's connection keeps in memory, in KiB: once it works, and
// while it counts what is there, of which nothing is worth keeping.
const (
	writerCache   = 16 << 10
	countingCache = 1 << 10
)

func setCache(conn *sqlite3.SQLiteConn, kib int) error {
	_, err := conn.Exec(fmt.Sprintf("PRAGMA cache_size = -%d", kib), nil)
	return err
}

// writerDSN asks for what durability needs. The driver sets synchronous=NORMAL
// on every connection that does not say otherwise, and a power cut then loses
// commits that were answered: so it is said here, and read back by verifyDurable.
func writerDSN(path string) string {
	return dsn(path, url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"on"},
		"_busy_timeout": {"10000"},
		"_txlock":       {"immediate"},
		"_mutex":        {"no"}, // one goroutine uses it
		"_cache_size":   {"-" + strconv.Itoa(writerCache)},
	})
}

// migrationDSN is for migrations: they make tables anew that others refer to, and a
// transaction can't turn the checks of references off.
func migrationDSN(path string) string {
	return strings.Replace(writerDSN(path), "_foreign_keys=on", "_foreign_keys=off", 1)
}

func readerDSN(path string) string {
	return dsn(path, url.Values{
		"mode":             {"ro"},
		"_query_only":      {"on"},
		"_busy_timeout":    {"10000"},
		"_mutex":           {"no"}, // database/sql gives a connection to one at a time
		"_cache_size":      {"-2048"},
		"_stmt_cache_size": {"64"},
	})
}

// connect opens one connection of the driver's own.
func connect(dsn string) (*sqlite3.SQLiteConn, error) {
	c, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	conn := c.(*sqlite3.SQLiteConn)
	for _, pragma := range []string{
		// The writer carries the log over itself, between groups; this is only a backstop.
		`PRAGMA wal_autocheckpoint = 65536`,
		`PRAGMA journal_size_limit = 67108864`,
		`PRAGMA temp_store = MEMORY`,
	} {
		if _, err := conn.Exec(pragma, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", pragma, joinClose(err, conn))
		}
	}
	return conn, nil
}

func joinClose(err error, c *sqlite3.SQLiteConn) error {
	if closeErr := c.Close(); closeErr != nil {
		return fmt.Errorf("%w (and closing: %w)", err, closeErr)
	}
	return err
}

// verifyDurable reads back what a write connection must have, and refuses one
// that could lose what it has committed.
func verifyDurable(conn *sqlite3.SQLiteConn) error {
	for _, want := range []struct{ pragma, value string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}, {"ignore_check_constraints", "0"},
	} {
		got, err := pragma(conn, want.pragma)
		if err != nil {
			return err
		}
		if got != want.value {
			return fmt.Errorf("the store's connection has %s=%s where it must have %s: commits would not be durable, so it is not used. This taskhost was built wrongly: use another build", want.pragma, got, want.value)
		}
	}
	return nil
}

// pragma reads one pragma's value.
func pragma(conn *sqlite3.SQLiteConn, name string) (string, error) {
	v, err := scalar(conn, "PRAGMA "+name)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(v), nil
}

// scalar is the first column of the first row; nil if there is none.
func scalar(conn *sqlite3.SQLiteConn, query string) (driver.Value, error) {
	st, err := prepare(conn, query, 1)
	if err != nil {
		return nil, err
	}
	found, err := st.one()
	if closeErr := st.s.Close(); err == nil {
		err = closeErr
	}
	if err != nil || !found {
		return nil, err
	}
	return st.row[0], nil
}

// openReaders makes the pool of connections that only read.
func openReaders(path string, n int) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", readerDSN(path))
	if err != nil {
		return nil, fmt.Errorf("open %s for reading: %w", path, err)
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}
