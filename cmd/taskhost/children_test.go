package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childRigs are servers whose journals run as goroutines of the host, in a plugin's process, and
// on a worker behind a broker of its own. peer is the worker; nil where there is none.
var childRigs = []struct {
	name string
	open func(t *testing.T) (s *server, peer *peer)
}{
	{"goroutines", func(t *testing.T) (*server, *peer) { return started(newServer(t, os.Args[0], inProcess), nil) }},
	{"plugin process", func(t *testing.T) (*server, *peer) { return started(newServer(t, "", ownProcess), nil) }},
	{"fleet", func(t *testing.T) (*server, *peer) {
		_, addr, _ := natsServer(t)
		s := newServer(t, "", fleet("    url = \"nats://"+addr+"\""))
		return started(s, s.worker("w1", "url = \"nats://"+addr+"\""))
	}},
}

func started(s *server, w *peer) (*server, *peer) {
	s.t.Helper()
	s.start()
	if w != nil {
		w.start()
	}
	s.known()
	return s, w
}

type childTask struct {
	apiTask
	Name, Waiting string
}

// children are those of a task.
func (s *server) children(parent string) []childTask {
	s.t.Helper()
	var page struct{ Tasks []childTask }
	s.get("/v1/tasks?limit=1000&order=asc&parent="+parent, &page)
	return page.Tasks
}

// shows is what the program prints as a client of the server.
func (s *server) shows(args ...string) string {
	s.t.Helper()
	out, err := exec.Command(filepath.Join(built(s.t), "taskhost"), append([]string{"--addr", s.addr()}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// A parent spawns its children, rests, and goes on with what became of them; its tree is shown;
// a cancel goes down; a task that runs can be paused and resumed. All of it wherever it runs.
func TestChildren(t *testing.T) {
	t.Parallel()
	for _, rig := range childRigs {
		t.Run(rig.name, func(t *testing.T) {
			s, _ := rig.open(t)
			id := s.submit(`{"type":"journal","input":{"children":3,"child":{"children":2,"child":{"result":1}}}}`)
			var got apiTask
			s.get("/v1/tasks/"+id+"?wait=60s", &got)
			if got.State != "succeeded" || fmt.Sprint(got.Result) != "3" {
				t.Fatalf("%s with %v: %+v", got.State, got.Result, got.Error)
			}
			s.shownAsTree(id)
			s.canceledDown()
			s.pausedAndResumed()
			if status, body, err := s.call("DELETE", "/v1/tasks/"+id, ""); err != nil || status != http.StatusNoContent {
				t.Errorf("delete: %d %s %v", status, body, err)
			}
			if left := s.children(id); len(left) != 0 {
				t.Errorf("%d children are left", len(left))
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// shownAsTree: a task with three children that have two each, drawn and as JSON.
func (s *server) shownAsTree(id string) {
	s.t.Helper()
	drawn := s.shows("task", "tree", id)
	lines := strings.Split(strings.TrimSpace(drawn), "\n")
	if len(lines) != 11 || !strings.HasPrefix(lines[1], "journal ") || !strings.HasPrefix(lines[2], "├─ 0 ") || !strings.HasPrefix(lines[3], "│  ├─ 0 ") ||
		!strings.HasPrefix(lines[4], "│  └─ 1 ") || !strings.HasPrefix(lines[8], "└─ 2 ") || !strings.HasPrefix(lines[10], "   └─ 1 ") || strings.Count(drawn, "succeeded") != 10 {
		s.t.Errorf("drawn as\n%s", drawn)
	}
	type node struct {
		Task     apiTask
		Children []node
	}
	var tree node
	if err := json.Unmarshal([]byte(s.shows("task", "tree", id, "-o", "json")), &tree); err != nil || len(tree.Children) != 3 || len(tree.Children[2].Children) != 2 || tree.Task.ID != id {
		s.t.Errorf("as JSON: %+v, %v", tree, err)
	}
	if names := strings.Fields(s.shows("task", "tree", id, "-o", "name")); len(names) != 10 || names[0] != id {
		s.t.Errorf("names: %q", names)
	}
	if cut := s.shows("task", "tree", id[:20], "--limit", "4"); !strings.Contains(cut, "there are more than these 4") || strings.Count(cut, "succeeded") != 4 || strings.Count(cut, "   └─ …") != 1 || strings.Count(cut, "│  └─ …") != 2 {
		s.t.Errorf("cut to four:\n%s", cut)
	}
	if listed := strings.Fields(s.shows("task", "list", "--parent", id[:20], "-o", "name")); len(listed) != 3 {
		s.t.Errorf("listed: %q", listed)
	}
}

// canceledDown: whoever is below a task that is canceled is canceled, too, wherever it is.
func (s *server) canceledDown() {
	s.t.Helper()
	id := s.submit(`{"type":"journal","input":{"children":2,"child":{"children":2,"child":{"seconds":600}}}}`)
	s.until("the grandchildren run", func() bool {
		running := 0
		for _, c := range s.children(id) {
			for _, g := range s.children(c.ID) {
				if g.State == "running" {
					running++
				}
			}
		}
		return running == 4
	})
	if status, body, err := s.call("POST", "/v1/tasks/"+id+"/cancel", ""); err != nil || status != http.StatusOK {
		s.t.Errorf("cancel of a task that waits for its children: %d %s %v", status, body, err)
	}
	s.until("all are canceled", func() bool {
		var page struct{ Tasks []childTask }
		s.get("/v1/tasks?limit=1000&state=canceled", &page)
		return len(page.Tasks) == 7
	})
}

// pausedAndResumed: a script that agrees rests until it is resumed, and then runs again.
func (s *server) pausedAndResumed() {
	s.t.Helper()
	id := s.submit(`{"type":"journal","input":{"seconds":600}}`)
	state := func(want string, attempt int) {
		s.t.Helper()
		s.until("it is "+want, func() bool {
			var now childTask
			s.get("/v1/tasks/"+id, &now)
			return now.State+now.Waiting == want && now.Attempt == attempt
		})
	}
	state("running", 1)
	if status, body, err := s.call("POST", "/v1/tasks/"+id+"/pause?wait=1m", ""); err != nil || status != http.StatusOK {
		s.t.Errorf("pause: %d %s %v", status, body, err)
	}
	state("pendingpaused", 1)
	if status, body, err := s.call("POST", "/v1/tasks/"+id+"/resume", ""); err != nil || status != http.StatusOK {
		s.t.Errorf("resume: %d %s %v", status, body, err)
	}
	state("running", 2)
	if status, body, err := s.call("POST", "/v1/tasks/"+id+"/cancel", ""); err != nil || status != http.StatusAccepted {
		s.t.Errorf("cancel: %d %s %v", status, body, err)
	}
	state("canceled", 2)
}

// kill -9 of the host, the worker and the plugin while parents spawn: each child is made once,
// each parent ends with all of its own.
func TestCrashWhileSpawning(t *testing.T) {
	t.Parallel()
	const parents, children = 6, 5
	crashes := map[string][]func(s *server, w *peer){
		"goroutines":     {func(s *server, _ *peer) { s.kill(); s.start() }},
		"plugin process": {func(s *server, _ *peer) { s.kill(); s.start() }, func(s *server, _ *peer) { s.killPlugin("own") }},
		"fleet":          {func(s *server, _ *peer) { s.kill(); s.start() }, func(_ *server, w *peer) { w.kill(); w.start() }},
	}
	for _, rig := range childRigs {
		t.Run(rig.name, func(t *testing.T) {
			s, w := rig.open(t)
			var ids []string
			for range parents {
				ids = append(ids, s.submit(fmt.Sprintf(`{"type":"journal","max_lost":1000,"input":{"children":%d,"seconds":0.4,"child":{"seconds":0.1}}}`, children)))
			}
			for range rounds(2) {
				for _, crash := range crashes[rig.name] {
					pause(50*time.Millisecond, 400*time.Millisecond)
					crash(s, w)
				}
			}
			s.settle()
			s.verify(ids)
			for _, id := range ids {
				s.verifyFamily(id, children)
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// killPlugin is kill -9 of an executor's processes.
func (s *server) killPlugin(executor string) {
	s.t.Helper()
	var pids []int
	s.until("the plugin runs", func() bool { pids = s.instances(executor); return len(pids) > 0 })
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL) // gone already if it was replaced meanwhile
	}
}

// verifyFamily: a parent has succeeded, and has each of its children once.
func (s *server) verifyFamily(id string, n int) {
	s.t.Helper()
	var parent apiTask
	s.get("/v1/tasks/"+id, &parent)
	if parent.State != "succeeded" || fmt.Sprint(parent.Result) != fmt.Sprint(n) {
		s.t.Errorf("parent %s is %s with %v: %+v", id, parent.State, parent.Result, parent.Error)
	}
	var names []string
	for _, c := range s.children(id) {
		names = append(names, c.Name)
		if c.State != "succeeded" {
			s.t.Errorf("child %s of %s is %s", c.Name, id, c.State)
		}
	}
	slices.Sort(names)
	if len(names) != n || len(slices.Compact(names)) != n {
		s.t.Errorf("parent %s has the children %q", id, names)
	}
}
