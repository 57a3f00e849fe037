package queuetest

import (
	"net"
	"testing"
)

// A port mapper that cannot listen ends without a word: a broker would start one of its own then,
// which nobody ends.
func TestPortMapperHasItsPort(t *testing.T) {
	skipWithoutRabbitMQ(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := startMapper(t.TempDir(), port); err == nil {
		m.kill()
		t.Errorf("a port mapper answers on port %s, which this test has", port)
	}
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := startMapper(t.TempDir(), ports[0])
	if err != nil {
		t.Fatal(err)
	}
	m.kill()
}
