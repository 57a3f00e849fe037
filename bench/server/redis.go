package server

import (
	"context"
	"os/exec"
	"strconv"
	"syscall"
)

// Redis is a Redis server that keeps an append-only file.
type Redis struct {
	*Process
	// Addr is where clients connect, as host:port.
	Addr string
	// Version is the server's.
	Version string
}

// StartRedis serves from dir. appendfsync is Redis's setting of that name: "everysec" or "always".
func StartRedis(ctx context.Context, dir, appendfsync string) (*Redis, error) {
	server, err := find("redis-server")
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
	cmd := exec.Command(server, "--bind", "127.0.0.1", "--port", strconv.Itoa(ports[0]), "--dir", dir,
		"--appendonly", "yes", "--appendfsync", appendfsync, "--save", "")
	p, err := Start(dir, "redis", cmd, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	r := &Redis{Process: p, Addr: loopback(ports[0]), Version: v}
	if err := p.Ready(ctx, accepts(ports[0])); err != nil {
		p.Stop()
		return nil, err
	}
	return r, nil
}
