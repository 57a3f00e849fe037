package client_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	c, err := client.New(addr, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Wait(t.Context(), "01990f4e-7f3a-7c55-a1b2-0123456789ab")
	var e *task.Error
	if !errors.As(err, &e) || e.Code != client.CodeUnreachable || !strings.Contains(e.Message, addr) {
		t.Errorf("%v", err)
	}
	if _, err := client.New("ftp://x", ""); err == nil {
		t.Error("ftp is taken for a host")
	}
}
