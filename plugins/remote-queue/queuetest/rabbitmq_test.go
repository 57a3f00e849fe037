package queuetest

import (
	"net"
	"os/exec"
	"strings"
	"testing"
)

// No program of Erlang's leaves a port mapper behind: the broker runs one that looks for it, which
// goes on when the broker and the mapper are killed.
func TestNoPortMapperIsLeft(t *testing.T) {
	skipWithoutRabbitMQ(t)
	r, err := newRabbitMQ()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.stop() })
	r.mapper.kill()
	port := ""
	for _, v := range r.env {
		if p, ok := strings.CutPrefix(v, "ERL_EPMD_PORT="); ok {
			port = p
		}
	}
	cmd := exec.Command("erl", "-boot", "no_dot_erlang", "-sname", "epmd-starter-test", "-noinput", "-s", "erlang", "halt") // as the broker does
	cmd.Env = r.env
	cmd.Dir = r.dir
	_ = cmd.Run() // which finds no mapper
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		_ = c.Close()
		out, err := exec.Command("epmd", "-port", port, "-kill").CombinedOutput()
		t.Errorf("a port mapper was left behind: %s %v", out, err)
	}
}
