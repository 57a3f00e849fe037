package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

const theSecret = `zx81 "never" told` // a text that JSON writes otherwise

// secretServer keeps all that the server answers, to look for the secret in it.
type secretServer struct {
	*server
	answers strings.Builder
}

func (s *secretServer) ask(method, path, body string, want int) []byte {
	s.t.Helper()
	status, data, err := s.call(method, path, body)
	if err != nil || status != want {
		s.t.Fatalf("%s %s: %d, %v, want %d\n%s", method, path, status, err, want, data)
	}
	fmt.Fprintf(&s.answers, "%s %s: %s\n", method, path, data)
	return data
}

// made is the id that a body is answered with.
func (s *secretServer) made(path, body string, want int) string {
	s.t.Helper()
	var got struct{ ID string }
	if err := json.Unmarshal(s.ask("POST", path, body, want), &got); err != nil || got.ID == "" {
		s.t.Fatalf("POST %s: %v", path, err)
	}
	return got.ID
}

// succeeded waits for a journal that was given the secret, which its result tells.
func (s *secretServer) succeeded(what, id string) {
	s.t.Helper()
	got := s.final(id)
	if want := fmt.Sprintf("\"%x\"", sha256.Sum256([]byte(theSecret))); got.State != task.Succeeded || string(got.Result) != want {
		s.t.Errorf("%s is %s (%+v) with result %s: its script did not get the secret", what, got.State, got.Error, got.Result)
	}
	if !strings.Contains(string(got.Input), `"secret":"***"`) {
		s.t.Errorf("%s is shown with input %s", what, got.Input)
	}
}

// taskhost runs the program, keeps what it says, and wants that exit code.
func (s *secretServer) taskhost(code int, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(built(s.t), "taskhost"), args...)
	cmd.Env = append(os.Environ(), "TASKHOST_ADDR=http://"+s.addr())
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != code {
		s.t.Fatalf("%v exits %d: %s", args, cmd.ProcessState.ExitCode(), out)
	}
	fmt.Fprintf(&s.answers, "%v: %s\n", args, out)
	return string(out)
}

// untold looks for the secret in all that was said and in every file, with the words around it.
func (s *secretServer) untold(said ...*output) {
	s.t.Helper()
	quoted, _ := json.Marshal(theSecret)
	look := func(where string, data []byte) {
		for _, form := range [][]byte{[]byte(theSecret), quoted[1 : len(quoted)-1]} {
			if i := bytes.Index(data, form); i >= 0 {
				s.t.Errorf("%s tells the secret: …%q", where, data[max(i-150, 0):i+30])
			}
		}
	}
	look("an answer", []byte(s.answers.String()))
	for _, o := range said {
		look("a log", []byte(o.String()))
	}
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		look(path, data)
		files++
		return err
	})
	if err != nil || files < 10 {
		s.t.Errorf("looked at %d files: %v", files, err)
	}
}

// What a schema marks writeOnly is told to those who run a task, on each executor, and
// nobody else: it stands in no file, no log and no answer, after kill -9 too; and another key
// can be made for it, also if that is cut short.
func TestSecretsProgram(t *testing.T) {
	t.Parallel()
	s := &secretServer{server: newServer(t, os.Args[0], inProcess+ownProcess+fleet("")+boardBlocks)}
	w := s.startFleet()
	const schema = `{"properties":{"secret":{"type":"string","minLength":4,"writeOnly":true}}}`
	for _, name := range []string{"journal", "outside"} {
		if status, data, err := s.call("PUT", "/v1/types/"+name, `{"input":`+schema+`,"backoff":{"initial":"10ms","max":"10ms"}}`); err != nil || status >= 300 {
			t.Fatalf("put: %d, %v\n%s", status, err, data)
		}
	}
	quoted, _ := json.Marshal(theSecret)
	input := `{"fail":1,"secret":` + string(quoted) + `}`
	journal := `{"type":"journal","input":` + input
	ids := map[string]string{}
	for _, x := range []string{"local", "own", "fleet"} {
		ids[x] = s.made("/v1/tasks", journal+`,"executor":"`+x+`"}`, http.StatusAccepted)
	}
	outside := s.made("/v1/tasks", `{"type":"outside","input":`+input+`}`, http.StatusAccepted)
	s.made("/v1/tasks", journal+`,"executor":"fleet","run_at":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`, http.StatusAccepted)
	plan := s.made("/v1/schedules", `{"name":"s","every":"1000h","task":`+journal+`}}`, http.StatusCreated)
	s.ask("PATCH", "/v1/schedules/"+plan, `{"jitter":"1s"}`, http.StatusOK)
	ids["schedule"] = s.made("/v1/schedules/"+plan+"/run", "", http.StatusAccepted)
	var g struct{ Group string }
	if err := json.Unmarshal(s.ask("POST", "/v1/batches", `{"tasks":[`+journal+`,"key":"member"}],"group":{"name":"g","on_finished":{"type":"journal"}}}`, http.StatusAccepted), &g); err != nil {
		t.Fatal(err)
	}
	var member api.Task
	s.get("/v1/tasks/by-key/journal/member", &member)
	ids["member"] = member.ID
	ids["glance"] = s.made("/v2/tasks", journal+`}`, http.StatusCreated)
	s.ask("POST", "/v1/tasks", `{"type":"journal","input":{"secret":["`+strings.Trim(string(quoted), `"`)+`"]}}`, http.StatusUnprocessableEntity)
	held := s.one("alice", `"types":["outside"]`)
	if string(held.Task.Input) != input || held.Task.ID != outside {
		t.Errorf("the worker at the board got %s", held.Task.Input)
	}
	s.wantSaid(held, "log", `{"lines":[{"level":"info","message":"has `+strings.Trim(string(quoted), `"`)+`"}]}`, 200)
	for what, id := range ids {
		s.succeeded(what, id)
		s.taskhost(0, "task", "get", id)
		s.taskhost(0, "task", "logs", id)
		for _, more := range []string{"", "/history", "/logs", "/events", "/result"} {
			if data := s.ask("GET", "/v1/tasks/"+id+more, "", http.StatusOK); more == "/logs" && !bytes.Contains(data, []byte("told ***")) {
				t.Errorf("logs of %s: %s", what, data)
			}
		}
		s.ask("GET", "/v2/tasks/"+id, "", http.StatusOK)
	}
	for _, path := range []string{"/v1/tasks", "/v1/tasks?format=jsonl", "/v1/tasks/" + outside, "/v1/tasks/" + outside + "/logs", "/v1/schedules", "/v1/schedules/" + plan, "/v1/groups", g.Group,
		"/v1/board/claims", "/v1/audit", "/v1/status", "/v2/tasks"} {
		s.ask("GET", path, "", http.StatusOK)
	}
	s.taskhost(0, "task", "list", "-o", "json")
	s.taskhost(0, "schedule", "get", plan)
	s.kill()
	s.untold(s.output, w.output)

	first := s.firstKey()
	for range 6 {
		cmd := exec.Command(filepath.Join(built(t), "taskhost"), "store", "rekey", "--data-dir", s.data())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // at any moment
		cmd.Process.Kill()
		cmd.Wait()
		s.store(0, "check")
	}
	s.store(0, "rekey")
	s.store(0, "check")
	if keys, _ := os.ReadFile(filepath.Join(s.data(), "secrets.key")); bytes.Count(keys, []byte("taskhost-key:")) != 1 || bytes.Contains(keys, []byte(first)) {
		t.Errorf("the keys after a change of them:\n%s", keys)
	}
	s.start()
	s.succeeded("a run with another key", s.made("/v1/schedules/"+plan+"/run", "", http.StatusAccepted))
	if status, data := s.say(held, "finish", `1`); status >= 300 {
		t.Errorf("finish: %d %s", status, data)
	}
	s.untold(s.output, w.output)

	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(s.data(), "secrets.key")); err != nil {
		t.Fatal(err)
	}
	if out := s.store(1, "check"); !strings.Contains(out, "no key opens what is sealed in") {
		t.Errorf("check without the key: %s", out)
	}
}

// firstKey is the key of the server, as its file has it.
func (s *secretServer) firstKey() string {
	s.t.Helper()
	path := filepath.Join(s.data(), "secrets.key")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		s.t.Fatalf("the key file: %v, %v", info, err)
	}
	data, err := os.ReadFile(path)
	_, key, ok := strings.Cut(string(data), "taskhost-key:1:")
	if err != nil || !ok {
		s.t.Fatalf("the key file: %q, %v", data, err)
	}
	return strings.TrimSpace(key)
}
