package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"

	"github.com/taskhost/taskhost/host/task"
)

//go:embed migrations/*.sql
var migrations embed.FS

// checkedAtOpen bounds the size of a store that is looked through at every open.
const checkedAtOpen = 64 << 20

// migrate brings the schema of the store up to this program's, and refuses a
// store of a newer one or one that is damaged.
func migrate(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite3", migrationDSN(path))
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := quickCheck(ctx, db, path); err != nil {
		return err
	}
	p, err := provider(db)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return damaged(path, err)
	}
	if have > want {
		return newer(path, have, want)
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s from schema %d to %d: %w", path, have, want, err)
	}
	return nil
}

func newer(path string, have, want int64) error {
	return task.Errorf(task.CodeStoreUnavailable,
		"the store %s has schema %d and this taskhost knows up to %d: run the newer taskhost that wrote it; it was not touched", path, have, want)
}

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
}

// quickCheck looks through a store that is small enough to do so at every open.
func quickCheck(ctx context.Context, db *sql.DB, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if info.Size() == 0 || info.Size() > checkedAtOpen {
		return nil
	}
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return damaged(path, err)
	}
	if verdict != "ok" {
		return damaged(path, errors.New(verdict))
	}
	return nil
}
