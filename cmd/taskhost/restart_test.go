package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWaitingOutlastsRestarts: whoever waits for a task hears of its end, over a stop of
// the host in good order, in which the task is finished, and over kill -9.
func TestWaitingOutlastsRestarts(t *testing.T) {
	t.Parallel()
	stop := func(s *server) {
		if err := s.stop(); err != nil {
			s.t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		args string
		end  func(*server)
	}{
		"submit, stopped": {"submit sleep --wait --input", stop},
		"submit, killed":  {"submit sleep --wait --input", (*server).kill},
		"follow, stopped": {"submit sleep --follow --input", stop},
		"wait, stopped":   {"wait", stop},
		"wait, killed":    {"wait", (*server).kill},
		"watch, stopped":  {"watch", stop},
	} {
		t.Run(name, func(t *testing.T) {
			const input = `{"seconds": 1}`
			s := newServer(t, "", localOnly)
			s.start()
			front := newFront(t, s)
			args := append([]string{"--addr", front.addr, "task"}, strings.Fields(c.args)...)
			if strings.HasSuffix(c.args, "--input") {
				args = append(args, input)
			} else {
				args = append(args, s.submit(`{"type": "sleep", "input": `+input+`}`))
			}
			cmd := exec.Command(s.bin, args...)
			var out, errOut bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errOut
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-front.answered:
			case <-time.After(60 * time.Second):
				t.Error("the command asked nothing")
			}
			c.end(s)
			s.start()
			err := cmd.Wait()
			if said := out.String(); err != nil || !strings.Contains(said, `{"slept":1`) && !strings.Contains(said, "succeeded") {
				t.Errorf("%v\n%s\n%s", err, said, errOut.String())
			}
			stop(s)
		})
	}
}

// front is an address for a server that has another one at each start.
type front struct {
	addr     string
	answered chan struct{} // closed when the server has answered through it
}

func newFront(t *testing.T, s *server) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &front{addr: l.Addr().String(), answered: make(chan struct{})}
	var once sync.Once
	pass := func(to, from net.Conn, heard func()) {
		defer to.Close()
		defer from.Close()
		first := make([]byte, 1)
		if n, _ := from.Read(first); n == 0 {
			return
		}
		if _, err := to.Write(first); err != nil {
			return
		}
		heard()
		io.Copy(to, from)
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			addr, _ := os.ReadFile(filepath.Join(s.data(), "address"))
			out, err := net.Dial("tcp", strings.TrimSpace(string(addr)))
			if err != nil {
				in.Close()
				continue
			}
			go pass(out, in, func() {})
			go pass(in, out, func() { once.Do(func() { close(f.answered) }) })
		}
	}()
	return f
}
