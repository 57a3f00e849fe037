package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// watcher is `taskhost task watch` of all tasks, of which lines are read.
type watcher struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *bufio.Scanner
	err  output
	last int64           // the id of the last event
	told map[string]bool // "task seq"
}

func (s *server) watch(args ...string) *watcher {
	s.t.Helper()
	w := &watcher{t: s.t, cmd: exec.Command(s.bin, append([]string{"task", "watch", "-o", "jsonl"}, args...)...), told: map[string]bool{}}
	w.cmd.Stderr = &w.err
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { w.cmd.Process.Kill(); w.cmd.Wait() })
	w.out = bufio.NewScanner(out)
	w.out.Buffer(nil, 1<<20)
	return w
}

// until reads lines until a task is told to have come to a state; ids rise with each.
func (w *watcher) until(id string, state task.State) {
	w.t.Helper()
	over := time.AfterFunc(2*time.Minute, func() { w.cmd.Process.Kill() })
	defer over.Stop()
	for w.out.Scan() {
		var e eventLine
		e.StateEvent = &api.StateEvent{}
		if err := json.Unmarshal(w.out.Bytes(), &e); err != nil || e.Reset != nil {
			w.t.Fatalf("%s: %v", w.out.Text(), err)
		}
		place, err := strconv.ParseInt(e.ID, 10, 64)
		if err != nil || place <= w.last {
			w.t.Fatalf("after %d comes %s", w.last, w.out.Text())
		}
		w.last = place
		w.told[fmt.Sprint(e.Task.ID, " ", e.Seq)] = true
		if e.Task.ID == id && e.To == state {
			return
		}
	}
	w.t.Fatalf("the command ended: %s", w.err.String())
}

// TestAllEventsOutlastKills: whoever watches all tasks is told every transition over a kill -9 of
// the host, and so is who comes back only then with the last id.
func TestAllEventsOutlastKills(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", localOnly)
	s.start()
	front := newFront(t, s)
	begin := s.firstEventID()
	w := s.watch("--addr", front.addr, "--after", fmt.Sprint(begin), "--type", "sum", "--type", "sleep")
	const sum = `{"type":"sum","input":[1]}`
	ids := []string{s.submit(sum)}
	s.submit(`{"type":"noop"}`)
	w.until(ids[0], task.Succeeded)
	nap := s.submit(`{"type":"sleep","input":{"seconds":2}}`)
	ids = append(ids, nap)
	w.until(nap, task.Running)
	s.kill()
	s.start()
	ids = append(ids, s.submit(sum))
	w.until(nap, task.Succeeded)
	ids = append(ids, s.submit(sum))
	w.until(ids[3], task.Succeeded)
	s.wantWatched(w, ids)

	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	exit := (*exec.ExitError)(nil)
	if err := w.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted || !strings.Contains(w.err.String(), fmt.Sprint("--after ", w.last)) {
		t.Errorf("Ctrl-C: %v, %s", err, w.err.String())
	}
	missed := []string{s.submit(sum)}
	s.final(missed[0])
	s.kill()
	s.start()
	missed = append(missed, s.submit(sum))
	s.final(missed[1])
	back := s.watch("--addr", front.addr, "--after", fmt.Sprint(w.last), "--type", "sum")
	back.last = w.last
	back.until(missed[1], task.Succeeded)
	s.wantWatched(back, missed)
	if got, err := exec.Command(s.bin, "--addr", s.addr(), "task", "watch", "--after", fmt.Sprint(begin), "--type", "sleep", "--state", "succeeded", "--limit", "1").CombinedOutput(); err != nil ||
		!strings.Contains(string(got), " "+shortID(nap)+" sleep succeeded\n") {
		t.Errorf("%v: %s", err, got)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// firstEventID is the id with which the stream of all events begins now.
func (s *server) firstEventID() int64 {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr() + "/v1/events")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	for rd := bufio.NewScanner(resp.Body); rd.Scan(); {
		if id, ok := strings.CutPrefix(rd.Text(), "id: "); ok {
			n, err := strconv.ParseInt(id, 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatal("the stream begins without an id")
	return 0
}

// wantWatched wants every transition of the tasks told.
func (s *server) wantWatched(w *watcher, ids []string) {
	s.t.Helper()
	for _, id := range ids {
		var h api.History
		s.get("/v1/tasks/"+id+"/history", &h)
		for _, e := range h.Events {
			if !w.told[fmt.Sprint(id, " ", e.Seq)] {
				s.t.Errorf("of task %s is not told: %+v", id, e)
			}
		}
	}
}
