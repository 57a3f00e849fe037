package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStalledReadersHoldUpNobody: 100 clients ask for events, of all tasks or of one, for logs to follow, for a long
// list, and for a list as lines, and read none of what comes. Tasks come and go meanwhile, the
// store's log is carried over and used again, and memory stays bounded; at last the server
// cuts the clients off.
func TestStalledReadersHoldUpNobody(t *testing.T) {
	t.Setenv("GOGC", "50") // so that the server's memory is about what it holds, and not five times as much
	s := newServer(t, os.Args[0], "max_log_lines = 100000\nmax_log_bytes = \"256MiB\"\n"+inProcess)
	s.start()
	const (
		readers = 100
		big     = 500  // tasks of 12 KiB in a list
		tasks   = 3000 // that are run meanwhile, each with an input of 16 KiB
		most    = 256 << 20
	)
	labels := make([]string, 50)
	for i := range labels {
		labels[i] = fmt.Sprintf("%q:%q", fmt.Sprintf("name%d", i), strings.Repeat("x", 240))
	}
	for range big / 500 {
		one := fmt.Sprintf(`{"type":"noop",%s,"labels":{%s}}`, later, strings.Join(labels, ","))
		if status, data, err := s.call("POST", "/v1/batches", `{"tasks":[`+one+strings.Repeat(","+one, 499)+`]}`); err != nil || status != 202 {
			t.Fatalf("%d %.200s %v", status, data, err)
		}
	}
	chatty := s.submit(`{"type":"journal","input":{"lines":8000,"seconds":600}}`)
	connected := s.sockets()
	paths := []string{"/v1/events", "/v1/tasks/" + chatty + "/logs?follow", "/v1/tasks/" + chatty + "/events", "/v1/tasks?format=jsonl", "/v1/tasks?limit=500"}
	for i := range readers {
		s.stall(paths[i%len(paths)])
	}
	s.resetPeak()
	before := s.peak()
	began := s.logSalt()

	body := fmt.Sprintf(`{"type":"noop","retain":"1h","labels":{"is":"short"},"input":%q}`, strings.Repeat("y", 16<<10))
	wal, written := int64(0), 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range tasks / 8 {
				id := s.trySubmit(body)
				st, err := os.Stat(filepath.Join(s.data(), "taskhost.db-wal"))
				mu.Lock()
				if id != "" {
					written++
				}
				if err == nil {
					wal = max(wal, st.Size())
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.settleLabeled("is", "short")
	if n := s.count("&state=succeeded&label=is%3Dshort"); n != written {
		t.Errorf("%d of %d succeeded", n, written)
	}
	if written != tasks {
		t.Errorf("%d tasks of %d were accepted", written, tasks)
	}
	if s.logSalt() == began || wal > most {
		t.Errorf("the write-ahead log has not begun anew, and has %d bytes: a reader keeps it", wal)
	}
	grown := s.peak() - before
	if grown > 400<<10 {
		t.Errorf("the server grew by %d KiB", grown)
	}
	// What is told of one task at a time may all be in the buffers of the system. The tests' own are among them.
	s.until("the stalled clients are cut off", func() bool { return s.sockets() <= connected+readers/len(paths)+10 })
	t.Logf("the log grew to %d bytes, of some %d written; the server by %d KiB, of %d", wal, tasks*16<<10, grown, before)
	if status, _, err := s.call("POST", "/v1/tasks/"+chatty+"/cancel", ""); err != nil || status != 202 {
		t.Error(status, err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// logSalt is what another is chosen for whenever the store's write-ahead log begins anew:
// all of it was carried over then, and no reader needed it.
func (s *server) logSalt() string {
	s.t.Helper()
	f, err := os.Open(filepath.Join(s.data(), "taskhost.db-wal"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	salt := make([]byte, 8)
	if _, err := f.ReadAt(salt, 16); err != nil {
		s.t.Fatal(err)
	}
	return string(salt)
}

// settleLabeled waits until no task with that label is unfinished.
func (s *server) settleLabeled(name, value string) {
	s.t.Helper()
	s.until("every task is final", func() bool {
		var page struct{ Tasks []apiTask }
		s.get("/v1/tasks?state=pending&state=running&limit=1&label="+name+"%3D"+value, &page)
		return len(page.Tasks) == 0
	})
}

// stall asks for something, reads the head of the answer, and nothing more.
func (s *server) stall(path string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		s.t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	if line, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		s.t.Fatalf("%s: %q, %v", path, line, err)
	}
}

// sockets is how many sockets the server has open.
func (s *server) sockets() (n int) {
	s.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
