package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const boardBlocks = `
executor "board" {
  plugin = "board"
  config {
    types = ["outside", "words"]
  }
}
task_type "placed" {
  executor = "board"
}
`

// claimed is a claim as a worker gets it.
type claimed struct {
	Token string
	Task  struct {
		ID         string
		Attempt    int
		Input      json.RawMessage
		Checkpoint []byte
	}
}

// claim asks once; nothing if no host answers.
func (s *server) claim(worker, ask string) []claimed {
	status, data, err := s.call("POST", "/v1/board/claims", `{"worker":"`+worker+`",`+ask+`}`)
	if err != nil || status == http.StatusServiceUnavailable {
		return nil
	}
	var got struct{ Claims []claimed }
	if err := json.Unmarshal(data, &got); err != nil || status != http.StatusOK {
		s.t.Errorf("claim: %d %s", status, data)
	}
	return got.Claims
}

// one claims one task, which comes.
func (s *server) one(worker, ask string) (c claimed) {
	s.t.Helper()
	s.until("there is a claim", func() bool {
		got := s.claim(worker, ask+`,"wait":"5s"`)
		if len(got) == 1 {
			c = got[0]
		}
		return len(got) == 1
	})
	return c
}

// say says something of a claim until a host answers, as a worker does that outlasts it.
func (s *server) say(c claimed, what, body string) (status int, answer string) {
	for {
		status, data, err := s.call("POST", "/v1/board/claims/"+c.Token+"/"+what, body)
		if err == nil && status != http.StatusServiceUnavailable {
			return status, string(data)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *server) wantSaid(c claimed, what, body string, want int) (answer string) {
	s.t.Helper()
	status, answer := s.say(c, what, body)
	if status != want {
		s.t.Errorf("%s: %d %s, want %d", what, status, answer, want)
	}
	return answer
}

// taskAsText is a task whose state is text.
func (s *server) taskAsText(id string) (t apiTask) {
	s.t.Helper()
	s.get("/v1/tasks/"+id, &t)
	return t
}

// A claim is a worker's over kill -9 of the host; it lapses by its lease, a cancel is told,
// and a token that is not current changes nothing.
func TestBoardProgram(t *testing.T) {
	s := newServer(t, "", boardBlocks+localOnly)
	s.start()
	id := s.submit(`{"type":"outside","input":{"n":1}}`)
	group := s.post("/v1/groups", `{"name":"all"}`)
	placed := s.submit(`{"type":"placed","max_lost":1,"group":"` + group + `"}`)
	held := s.one("alice", `"types":["outside"]`)
	lapses := s.one("bob", `"types":["placed"],"lease":"2s"`)
	if held.Task.ID != id || string(held.Task.Input) != `{"n":1}` || lapses.Task.ID != placed {
		t.Errorf("claimed %+v and %+v", held, lapses)
	}
	s.wantSaid(held, "checkpoint", `"half"`, 200)
	s.wantSaid(held, "progress", `{"done":1,"total":2}`, 200)
	s.kill()
	s.start()

	s.wantSaid(held, "renew", "", 200) // as if nothing had been
	again := s.one("carol", `"types":["placed"]`)
	if again.Task.ID != placed || again.Task.Attempt != 2 {
		t.Errorf("bob, who is not heard, has it still: %+v", again)
	}
	s.wantSaid(lapses, "finish", `1`, 409)
	if got := s.taskAsText(placed); got.State != "running" || got.Lost != 1 {
		t.Errorf("after bob's late end the task is %+v", got)
	}
	if status, data, err := s.call("POST", "/v1/tasks/"+id+"/cancel", ""); err != nil || status != http.StatusAccepted {
		t.Fatalf("cancel: %d %s %v", status, data, err)
	}
	s.until("alice hears of the cancel", func() bool {
		return strings.Contains(s.wantSaid(held, "renew", "", 200), `"stop":"cancel"`)
	})
	s.wantSaid(held, "release", "", 204)
	if got := s.taskAsText(id); got.State != "canceled" || got.Error.Details["confirmed"] != true {
		t.Errorf("got %+v", got)
	}
	s.wantSaid(again, "trash", `{"reason":"nothing in it"}`, 204)
	if got := s.taskAsText(placed); got.State != "failed" || got.Error.Code != "trashed" || got.Error.Message != "nothing in it" {
		t.Errorf("got %+v", got)
	}
	if got := s.group(group); got.Counts["trashed"] != 1 || got.Counts["failed"] != 0 || got.Done != 1 {
		t.Errorf("its group counts %v", got.Counts)
	}
	if shown := s.shows("group", "get", group); !strings.Contains(shown, "1 trashed") || strings.Contains(shown, "failed") {
		t.Errorf("its group is shown as\n%s", shown)
	}
	var status struct{ Failed []apiTask }
	if s.get("/v1/status", &status); len(status.Failed) != 0 {
		t.Errorf("told among the failures: %+v", status.Failed)
	}

	never := s.submit(`{"type":"outside","max_lost":0}`)
	s.one("dan", `"types":["outside"],"lease":"1s"`)
	s.until("dan's lease has lapsed", func() bool { return s.taskAsText(never).State == "failed" })
	if got := s.taskAsText(never); got.Error.Code != "executor_lost" {
		t.Errorf("got %+v", got.Error)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// boardWorkers are workers that do all that they can claim, through every end of the host.
type boardWorkers struct {
	stop    chan struct{}
	working sync.WaitGroup
	mu      sync.Mutex
	ended   map[string]int // how often a task's finish was taken
	stale   atomic.Int64
}

func (s *server) boardWorkers(n int, ask string) *boardWorkers {
	w := &boardWorkers{stop: make(chan struct{}), ended: map[string]int{}}
	for i := range n {
		w.working.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
				}
				for _, c := range s.claim(fmt.Sprint("w", i), ask) {
					status, answer := s.say(c, "finish", `"done"`)
					switch status {
					case http.StatusNoContent:
						w.mu.Lock()
						w.ended[c.Task.ID]++
						w.mu.Unlock()
					case http.StatusConflict:
						w.stale.Add(1)
					default:
						s.t.Errorf("finish: %d %s", status, answer)
					}
				}
			}
		})
	}
	return w
}

func (w *boardWorkers) end() {
	close(w.stop)
	w.working.Wait()
}

// Fifty workers over plain HTTP do a thousand tasks, each once.
func TestBoardFiftyWorkers(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", boardBlocks)
	s.start()
	w := s.boardWorkers(50, `"types":["outside"],"wait":"1s"`)
	var ids []string
	for range 10 {
		tasks := strings.TrimSuffix(strings.Repeat(`{"type":"outside"},`, 100), ",")
		status, data, err := s.call("POST", "/v1/batches", `{"tasks":[`+tasks+`]}`)
		var got struct{ Tasks []struct{ ID string } }
		if err != nil || status != http.StatusAccepted || json.Unmarshal(data, &got) != nil {
			t.Fatalf("batch: %d %s %v", status, data, err)
		}
		for _, task := range got.Tasks {
			ids = append(ids, task.ID)
		}
	}
	s.settle()
	w.end()
	for _, id := range ids {
		if got := s.taskAsText(id); w.ended[id] != 1 || got.State != "succeeded" || got.Attempt != 1 {
			t.Errorf("task %s was finished %d times and is %s after %d attempts", id, w.ended[id], got.State, got.Attempt)
		}
	}
	if len(ids) != 1000 || w.stale.Load() != 0 {
		t.Errorf("%d tasks, %d claims were stale", len(ids), w.stale.Load())
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// kill -9 of the host with claims held, again and again: nothing is stuck, lost or done
// twice. What was claimed and never answered lapses.
func TestBoardCrash(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", boardBlocks)
	s.start()
	w := s.boardWorkers(8, `"types":["outside"],"limit":3,"wait":"1s","lease":"1s"`)
	l := s.load(4, func(int) string { return `{"type":"outside","max_lost":1000}` })
	for range rounds(4) {
		pause(200*time.Millisecond, 600*time.Millisecond)
		s.kill()
		s.start()
	}
	accepted := l.end()
	s.settle()
	w.end()
	for _, id := range accepted {
		got := s.taskAsText(id)
		if got.State != "succeeded" || w.ended[id] > 1 {
			t.Errorf("task %s is %s and was finished %d times", id, got.State, w.ended[id])
		}
		s.recordedAttempts(got) // which look that it ended once
	}
	var held struct{ Claims []any }
	if s.get("/v1/board/claims", &held); len(held.Claims) != 0 {
		t.Errorf("still held: %v", held.Claims)
	}
	t.Logf("%d tasks, %d claims were stale", len(accepted), w.stale.Load())
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// The shell script works the board, outlasts a host, and ends a command whose task is
// canceled.
func TestBoardScript(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here")
	}
	s := newServer(t, "", boardBlocks)
	s.start()
	front := newFront(t, s)
	script, err := filepath.Abs("../../examples/board/worker.sh")
	if err != nil {
		t.Fatal(err)
	}
	gate := filepath.Join(t.TempDir(), "gate")
	out := &output{}
	cmd := exec.Command("sh", script, "words", "sh", "-c", `
		read -r word
		case $word in
		*fail*) echo 'it said "no"' >&2; exit 1 ;;
		*wait*) : >"$0.begun"; while ! [ -e "$0" ]; do sleep 0.1; done ;;
		*rest*) exec sleep 600 ;;
		esac
		echo "did $word"`, gate)
	cmd.Env = append(os.Environ(), "TASKHOST_ADDR="+front.addr, "TASKS=4", "WORKER=script")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	state := func(id, want string) func() bool { return func() bool { return s.taskAsText(id).State == want } }
	plain := s.submit(`{"type":"words","input":"plain \"token\":\"00000000000000000000000000000000\""}`)
	s.until("it is done", state(plain, "succeeded"))
	if got := s.taskAsText(plain); got.Result != "did \"plain \\\"token\\\":\\\"00000000000000000000000000000000\\\"\"\n" {
		t.Errorf("result %q", got.Result)
	}
	fails := s.submit(`{"type":"words","input":"fail","max_attempts":1}`)
	s.until("it has failed", state(fails, "failed"))
	if got := s.taskAsText(fails); got.Error.Message != `it said "no" ` {
		t.Errorf("error %+v", got.Error)
	}
	waits := s.submit(`{"type":"words","input":"wait"}`)
	s.until("it runs", func() bool {
		_, err := os.Stat(gate + ".begun")
		return err == nil
	})
	s.kill()
	if err := os.WriteFile(gate, nil, 0o600); err != nil { // it is done while no host is there
		t.Fatal(err)
	}
	s.start()
	s.until("it is done", state(waits, "succeeded"))
	rests := s.submit(`{"type":"words","input":"rest"}`)
	s.until("it runs", state(rests, "running"))
	if status, data, err := s.call("POST", "/v1/tasks/"+rests+"/cancel", ""); err != nil || status != http.StatusAccepted {
		t.Fatalf("cancel: %d %s %v", status, data, err)
	}
	s.until("it is canceled", state(rests, "canceled"))
	if got := s.taskAsText(rests); got.Error.Details["confirmed"] != true {
		t.Errorf("got %+v", got.Error)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	s.scriptGivesBack(script)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// scriptGivesBack stops the script while it works: it gives its task back, and leaves nothing.
func (s *server) scriptGivesBack(script string) {
	s.t.Helper()
	id := s.submit(`{"type":"words","input":"again"}`)
	cmd := exec.Command("sh", script, "words", "sleep", "600")
	cmd.Env = append(os.Environ(), "TASKHOST_ADDR="+s.addr())
	cmd.Stdout, cmd.Stderr = &output{}, &output{} // its pipes are closed only when all that it started is gone
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.until("it runs", func() bool { return s.taskAsText(id).State == "running" })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Error(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		s.t.Errorf("it ended with %v", err)
	}
	s.until("its task is given back", func() bool { return s.taskAsText(id).State == "pending" })
	if got := s.taskAsText(id); got.Lost != 0 {
		s.t.Errorf("it cost something: %+v", got)
	}
}
