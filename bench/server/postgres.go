package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server with a database of its own.
type Postgres struct {
	*Process
	// URL is where clients connect, as the superuser of a server that nobody else reaches.
	URL string
	// Version is the server's.
	Version string
}

// postgresSettings are Debian's defaults but for memory, where PostgreSQL's manual recommends
// more than the default (a quarter of the machine's would be more than any load here uses), and
// for checkpoints, which would come every few seconds. Durability is the default's and is named here
// because the figures depend on it.
func postgresSettings(port int) map[string]string {
	return map[string]string{
		"port": strconv.Itoa(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
		"shared_buffers": "1GB", "max_wal_size": "8GB", "max_connections": "200",
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
	}
}

// StartPostgres makes a cluster in dir and serves it. PostgreSQL refuses to run as root; it is
// run as the user postgres then, which Debian's package makes.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	server, err := find("/usr/lib/postgresql/*/bin/postgres", "postgres")
	if err != nil {
		return nil, err
	}
	v, err := version(ctx, server, "--version")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	as, err := notRoot(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "cluster")
	initdb := exec.CommandContext(ctx, filepath.Join(filepath.Dir(server), "initdb"),
		"--pgdata", data, "--username", "bench", "--auth", "trust", "--encoding", "UTF8", "--locale", "C")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	args := []string{"-D", data}
	for name, value := range postgresSettings(ports[0]) {
		args = append(args, "-c", name+"="+value)
	}
	cmd := exec.Command(server, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	p, err := Start(dir, "postgres", cmd, syscall.SIGINT) // SIGINT: without waiting for clients
	if err != nil {
		return nil, err
	}
	pg := &Postgres{Process: p, Version: v, URL: fmt.Sprintf("postgres://bench@%s/postgres?sslmode=disable", loopback(ports[0]))}
	if err := p.Ready(ctx, pg.ping); err != nil {
		p.Stop()
		return nil, err
	}
	return pg, nil
}

// ping connects: a server that is starting accepts, and refuses what comes next.
func (p *Postgres) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// notRoot is whom a program runs as that refuses root, with dir theirs; nil if we are not root.
func notRoot(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("the user postgres, which the package postgresql makes: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}
