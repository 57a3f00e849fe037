package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // to look into the store behind the program's back
)

const later = `"run_at":"2999-01-01T00:00:00Z"`

// TestBatchGoesOnAfterItsClientWasKilled: the same command on the same file submits what is
// left of it, and nothing twice.
func TestBatchGoesOnAfterItsClientWasKilled(t *testing.T) {
	s := newServer(t, "", localOnly)
	s.start()
	const lines, killedAt = 5500, 2600
	var file bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&file, "{%s,\"labels\":{\"n\":\"%d\"}}\n", later, i)
	}
	whole := file.Bytes()
	submit := func() *exec.Cmd {
		return exec.Command(s.bin, "--addr", s.addr(), "task", "submit", "noop", "--batch", "-")
	}
	cmd := submit()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(bytes.Join(bytes.SplitAfter(whole, []byte("\n"))[:killedAt], nil)); err != nil {
		t.Fatal(err)
	}
	s.until("two batches are taken", func() bool { return s.count("") == 2*batchTasks })
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	s.kill()
	s.start()
	cmd = submit()
	cmd.Stdin = bytes.NewReader(whole)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Before     2000") || !strings.Contains(string(out), "Submitted  3500") {
		t.Fatalf("%v\n%s", err, out)
	}
	seen := map[string]bool{}
	s.lines("/v1/tasks?format=jsonl", func(line []byte) {
		var one struct{ Labels map[string]string }
		if err := json.Unmarshal(line, &one); err != nil || seen[one.Labels["n"]] {
			t.Fatalf("%v, or twice: %s", err, line)
		}
		seen[one.Labels["n"]] = true
	})
	if len(seen) != lines {
		t.Errorf("%d tasks of %d", len(seen), lines)
	}
}

// count is how many tasks a list has.
func (s *server) count(query string) (n int) {
	s.lines("/v1/tasks?format=jsonl"+query, func([]byte) { n++ })
	return n
}

// lines visits the lines of an answer.
func (s *server) lines(path string, visit func(line []byte)) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr() + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	rd := bufio.NewReader(resp.Body)
	for {
		line, err := rd.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 && resp.StatusCode == http.StatusOK {
			return
		}
		if err != nil {
			s.t.Fatalf("%s: %d, %v after %q", path, resp.StatusCode, err, line)
		}
		visit(line)
	}
}

// TestListsOfAnySizeStayFlat submits 100,000 tasks from a file, and lists them all through
// the program and over REST: each once, newest first, in memory that does not grow with them.
func TestListsOfAnySizeStayFlat(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", localOnly)
	s.start()
	const tasks, most = 100_000, 64 << 10 // KiB
	feed, in := io.Pipe()
	go func() {
		for i := range tasks {
			fmt.Fprintf(in, "{%s,\"labels\":{\"n\":\"%d\",\"text\":%q}}\n", later, i, strings.Repeat("x", 200))
		}
		in.Close()
	}()
	cmd := exec.Command(s.bin, "--addr", s.addr(), "task", "submit", "noop", "--batch", "-", "--batch-size", "5000")
	cmd.Stdin = feed
	said := &output{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	submittingPeak := watchPeak(cmd)
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "100000") {
		t.Fatalf("%v\n%s", err, said)
	}
	submitting := submittingPeak()
	listingPeak := func() int { return 0 }
	s.resetPeak()
	before := s.peak()
	for _, list := range []func(visit func([]byte)){
		func(visit func([]byte)) { s.lines("/v1/tasks?format=jsonl", visit) },
		func(visit func([]byte)) {
			cmd = exec.Command(s.bin, "--addr", s.addr(), "task", "list", "-o", "jsonl", "--limit", "0")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			listingPeak = watchPeak(cmd)
			for sc := bufio.NewScanner(out); sc.Scan(); {
				visit(sc.Bytes())
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		},
	} {
		n, last := 0, "g"
		list(func(line []byte) {
			var one struct{ ID string }
			if err := json.Unmarshal(line, &one); err != nil || one.ID >= last {
				t.Fatalf("after %s: %v in %s", last, err, line)
			}
			last = one.ID
			n++
		})
		if n != tasks {
			t.Errorf("%d of %d tasks", n, tasks)
		}
	}
	if grown := s.peak() - before; grown > most {
		t.Errorf("the server grew by %d KiB as it listed", grown)
	}
	// As objects in memory these are some hundred MiB.
	listing := listingPeak()
	if listing > 2*most || submitting > 2*most || listing == 0 || submitting == 0 {
		t.Errorf("submitting took %d KiB, listing %d KiB", submitting, listing)
	}
	t.Logf("KiB: submitting took %d, listing %d; the server has %d, and grew by %d", submitting, listing, before, s.peak()-before)
}

// watchPeak looks how much memory a program has until it ends, and gives the most, in KiB.
// What the system tells of a process that has ended counts what its parent had when it began.
func watchPeak(cmd *exec.Cmd) func() int {
	most := make(chan int, 1)
	go func() {
		peak := 0
		for {
			now, err := memoryPeak(cmd.Process.Pid)
			if err != nil {
				most <- peak
				return
			}
			peak = max(peak, now)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() int { return <-most }
}

// memoryPeak is the most memory that a process had, in KiB; an error if it has ended.
func memoryPeak(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.New("it has no memory any more")
}

// peak is the most memory that the server had since resetPeak, in KiB.
func (s *server) peak() int {
	s.t.Helper()
	kib, err := memoryPeak(s.cmd.Process.Pid)
	if err != nil {
		s.t.Fatal(err)
	}
	return kib
}

func (s *server) resetPeak() {
	s.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0); err != nil {
		s.t.Fatal(err)
	}
}

// submitOnce sends a request with an Idempotency-Key, unless that is "", and gives the id of the
// task in the answer.
func (s *server) submitOnce(body, key string) (status int, id, answer string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+s.addr()+"/v1/tasks", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var one apiTask
	_ = json.Unmarshal(data, &one)
	return resp.StatusCode, one.ID, string(data)
}

// TestKeysMakeWorkUnique: of 100 who submit at once with one key, or with one
// Idempotency-Key, one has its task made; after kill -9, and after the task is gone.
func TestKeysMakeWorkUnique(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", localOnly)
	s.start()
	const clients = 100
	type answer struct {
		status int
		id     string
	}
	together := func(body, key string) map[answer]int {
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[answer]int{}
		for range clients {
			wg.Go(func() {
				status, id, _ := s.submitOnce(body, key)
				mu.Lock()
				defer mu.Unlock()
				got[answer{status, id}]++
			})
		}
		wg.Wait()
		return got
	}
	only := func(got map[answer]int, status int) (id string) {
		t.Helper()
		for a, n := range got {
			if a.status == status && id == "" {
				id = a.id
			} else if a.status != http.StatusConflict || a.id != "" || n == clients {
				t.Fatalf("answers %v", got)
			}
		}
		return id
	}
	keyed := `{"type":"noop","key":"k",` + later + `}`
	first := only(together(keyed, ""), http.StatusAccepted)
	existing := `{"type":"noop","key":"k","on_conflict":"existing",` + later + `}`
	if id := only(together(existing, ""), http.StatusOK); id != first {
		t.Errorf("the existing task is %s, want %s", id, first)
	}
	plain := `{"type":"noop","retain":"1s"}`
	once := only(together(plain, "once"), http.StatusAccepted)
	if n := s.count(""); n > 2 {
		t.Fatalf("%d tasks were made", n)
	}
	s.kill()
	s.start()
	if got := together(keyed, ""); got[answer{http.StatusConflict, ""}] != clients {
		t.Errorf("after kill -9: %v", got)
	}
	s.gone(once)
	if got := together(plain, "once"); got[answer{http.StatusConflict, ""}] != clients {
		t.Errorf("with the Idempotency-Key of a task that is gone: %v", got)
	}
	if n := s.count(""); n != 1 {
		t.Errorf("%d tasks are left, want the one with the key", n)
	}

	// A key is free again once its task is gone.
	if status, _, err := s.call("POST", "/v1/tasks/"+first+"/cancel", ""); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	if status, _, body := s.submitOnce(keyed, ""); status != http.StatusConflict || !strings.Contains(body, first) {
		t.Errorf("the key of a final task: %d %s", status, body)
	}
	if status, _, err := s.call("DELETE", "/v1/tasks/"+first, ""); err != nil || status != http.StatusNoContent {
		t.Fatal(status, err)
	}
	if id := only(together(keyed, ""), http.StatusAccepted); id == first {
		t.Error("the task that was deleted is back")
	}
}

// gone waits until a task is retired.
func (s *server) gone(id string) {
	s.t.Helper()
	s.until("task "+id+" is gone", func() bool {
		status, _, err := s.call("GET", "/v1/tasks/"+id, "")
		return err == nil && status == http.StatusNotFound
	})
}

// TestRetirement: a task whose time to be kept is up is gone soon, wherever it belongs, with
// all that was kept of it; its neighbours stay. What is older than asked is deleted by an action.
func TestRetirement(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", ownProcess+localOnly)
	s.start()
	var g struct{ Group string }
	status, data, err := s.call("POST", "/v1/batches", `{"group":{"name":"g","on_finished":{"type":"noop","retain":"1s"}},"tasks":[
		{"type":"sum","input":[1,2],"retain":"1s","exclusive":["disk"],"key":"k"},{"type":"sum","input":["x"],"retain":"1s","max_attempts":1},{"type":"noop","retain":"1h"}]}`)
	if err != nil || status != http.StatusAccepted || json.Unmarshal(data, &g) != nil {
		t.Fatal(status, string(data), err)
	}
	short := []string{
		s.submit(`{"type":"sleep","input":{"seconds":0.01,"steps":2},"retain":"1s","labels":{"a":"b"}}`),
		s.submit(`{"type":"journal","input":{"seconds":0},"retain":"1s"}`), // in a process of its own
		s.submit(`{"type":"noop","retain":"1ms"}`),
		s.submit(`{"type":"noop","retain":"1s",` + later + `}`),
	}
	if status, _, err := s.call("POST", "/v1/tasks/"+short[3]+"/cancel", ""); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	kept := s.submit(`{"type":"sum","input":[],"max_attempts":1}`)
	for _, id := range short {
		s.gone(id)
	}
	s.until("the members and the finisher are gone", func() bool { return s.count("") == 2 })
	for _, path := range []string{"", "/history", "/logs", "/result", "/events"} {
		if status, _, err := s.call("GET", "/v1/tasks/"+short[0]+path, ""); err != nil || status != http.StatusNotFound {
			t.Errorf("GET %s of what is gone: %d, %v", path, status, err)
		}
	}
	var summary struct {
		State  string
		Counts map[string]int
	}
	if s.get(g.Group, &summary); summary.State != "finished" || summary.Counts["succeeded"] != 2 || summary.Counts["failed"] != 1 {
		t.Errorf("the group counts %+v", summary)
	}

	if status, data, err := s.call("POST", "/v1/actions", `{"action":"delete","dry_run":true,"filter":{"state":["succeeded"],"finished_before":"2000-01-01T00:00:00Z"}}`); err != nil || status != http.StatusOK || !strings.Contains(string(data), `"matched":0`) {
		t.Errorf("what is that old: %s, %v", data, err)
	}
	if status, data, err := s.call("POST", "/v1/actions", `{"action":"delete","filter":{"type":["noop"],"finished_before":"2999-01-01T00:00:00Z"}}`); err != nil || status != http.StatusAccepted {
		t.Fatalf("%s, %v", data, err)
	}
	s.until("the rest of the group is deleted", func() bool {
		return s.count("&type=noop") == 0 && s.count("&type=taskhost.action&state=succeeded") == 1
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.wantRows(map[string]int{"task": 2, "task_key": 0, "resource_claim": 0, "log": 0, "upload": 0}, kept)
}

// wantRows says how many rows tables have in the store of a server that is stopped, and that
// no table has any of a task that is not there.
func (s *server) wantRows(want map[string]int, kept ...string) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data(), "*.db"))
	if err != nil || len(files) != 1 {
		s.t.Fatal(files, err)
	}
	db, err := sql.Open("sqlite3", "file:"+files[0]+"?mode=ro")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	count := func(query string) (n int) {
		if err := db.QueryRow(query).Scan(&n); err != nil {
			s.t.Fatal(query, err)
		}
		return n
	}
	for table, n := range want {
		if got := count("SELECT count(*) FROM " + table); got != n {
			s.t.Errorf("table %s has %d rows, want %d", table, got, n)
		}
	}
	for _, table := range []string{"input", "result", "task_detail", "history", "log", "upload", "task_key", "resource_claim"} {
		if n := count("SELECT count(*) FROM " + table + " WHERE task NOT IN (SELECT seq FROM task)"); n != 0 {
			s.t.Errorf("table %s has %d rows of tasks that are gone", table, n)
		}
	}
	for _, id := range kept {
		if n := count("SELECT count(*) FROM task WHERE hex(id) = upper('" + strings.ReplaceAll(id, "-", "") + "')"); n != 1 {
			s.t.Errorf("task %s is not in the store", id)
		}
	}
}
