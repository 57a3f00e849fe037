package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

// token makes a token and gives its secret.
func (s *server) token(owner, role string) string {
	s.t.Helper()
	var made api.NewToken
	status, data, err := s.call("POST", "/v1/tokens", `{"name":"`+role+`","owner":"`+owner+`","role":"`+role+`"}`)
	if err != nil || status != http.StatusCreated || json.Unmarshal(data, &made) != nil {
		s.t.Fatalf("make a token: %d %v %s", status, err, data)
	}
	return made.Secret
}

func (s *server) clientWith(secret string) *client.Client {
	s.t.Helper()
	addr, err := os.ReadFile(s.data() + "/address")
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := client.New(strings.TrimSpace(string(addr)), secret)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// quotas is a server whose owners have quotas, with executors of three kinds.
type quotas struct {
	*server
	a, b    *client.Client // of two owners
	secrets [2]string      // theirs
}

// connect makes the clients, of a server that was just started.
func (q *quotas) connect() {
	q.a, q.b = q.clientWith(q.secrets[0]), q.clientWith(q.secrets[1])
}

// used is what an owner has of each of the things that a quota bounds.
func (q *quotas) used(c *client.Client) (u api.Quota) {
	q.t.Helper()
	who, err := c.Whoami(q.t.Context())
	if err != nil || who.Quota == nil {
		q.t.Fatalf("whoami: %+v, %v", who, err)
	}
	return *who.Quota
}

// accepted submits a task, and again for as long as its owner has too many.
func (q *quotas) accepted(c *client.Client, r api.TaskRequest) (id string, refused int) {
	q.until("a task is accepted", func() bool {
		t, err := c.Submit(q.t.Context(), r, client.SubmitOptions{})
		switch task.CodeOf(err) {
		case "":
			id = t.ID
		case task.CodeQuotaExceeded:
			refused++
		case task.CodeExecutorUnavailable:
		default:
			q.t.Errorf("submit: %v", err)
		}
		return id != "" || q.t.Failed()
	})
	return id, refused
}

func (q *quotas) refused(c *client.Client, r api.TaskRequest, want task.Code) {
	q.t.Helper()
	if _, err := c.Submit(q.t.Context(), r, client.SubmitOptions{}); task.CodeOf(err) != want {
		q.t.Errorf("submit: %v, want %s", err, want)
	}
}

// An owner has no more than its quotas, over a fleet, goroutines and the board together, also
// after kill -9; another owner does not notice.
func TestQuotas(t *testing.T) {
	t.Parallel()
	s := newServer(t, os.Args[0], inProcess+fleet("")+boardBlocks+"anonymous = \"loopback\"\n")
	q := &quotas{server: s}
	s.startFleet()
	s.token("ops", "admin")
	q.secrets = [2]string{s.token("team-a", "member"), s.token("team-b", "member")}
	q.connect()
	s.rewrite("quota \"team-a\" {\n  waiting = 20\n  running = 2\n}\nquota \"team-b\" { bytes = 2000 }\n")
	s.says("config reloaded: changed=3 need_a_restart=0", 1)
	q.manyClients()
	q.board()
	q.schedule()
	q.bytes()
	q.shown()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// manyClients are 100 of one owner at once: nobody ever sees more than 20 waiting and 2 running,
// of the script neither.
func (q *quotas) manyClients() {
	t := q.t
	var mu sync.Mutex
	refused := 0
	var clients sync.WaitGroup
	for i := range 100 {
		clients.Go(func() {
			_, n := q.accepted(q.a, api.TaskRequest{Type: "journal", Input: []byte(`{"seconds":0.01}`), Executor: []string{"local", "fleet"}[i%2]})
			if u := q.used(q.a); u.Waiting.Used > 20 || u.Running.Used > 2 || *u.Waiting.Limit != 20 || *u.Running.Limit != 2 || u.Bytes == nil || u.Bytes.Limit != nil {
				t.Errorf("seen: %+v", u)
			}
			mu.Lock()
			defer mu.Unlock()
			refused += n
		})
	}
	// Another owner's is not kept waiting by it.
	other, _ := q.accepted(q.b, api.TaskRequest{Type: "sleep", Input: []byte(`{"seconds":0}`)})
	if done, err := q.b.Wait(t.Context(), other); err != nil || done.State != task.Succeeded {
		t.Errorf("another owner's task is %s, %v", done.State, err)
	}
	clients.Wait()
	q.settle()
	most := q.atOnce(func(string) string { return "all" })["all"]
	t.Logf("refused %d times, %d at once", refused, most)
	if most > 2 || refused == 0 {
		t.Errorf("%d attempts were under way at once, and %d refused", most, refused)
	}
}

// board: a worker is given no more than its owner may have under way.
func (q *quotas) board() {
	t := q.t
	for range 3 {
		q.accepted(q.a, api.TaskRequest{Type: "outside"})
	}
	var mine []api.BoardClaim
	ask := func() {
		got, err := q.a.Claim(t.Context(), api.ClaimRequest{Worker: "w", Types: []string{"outside"}, Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		mine = append(mine, got...)
	}
	q.until("two are claimed", func() bool { ask(); return len(mine) >= 2 })
	if ask(); len(mine) != 2 {
		t.Fatalf("%d are claimed, want 2", len(mine))
	}
	for i := 0; i < 3; i++ { // each end lets the next begin
		q.until("there is one to finish", func() bool { ask(); return len(mine) > i })
		if err := q.a.FinishClaim(t.Context(), mine[i].Token, "application/json", []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
}

// schedule: what it cannot submit is left out, it says why, and goes on. In between, the host is killed.
func (q *quotas) schedule() {
	t := q.t
	long := api.TaskRequest{Type: "sleep", Input: []byte(`{"seconds":600}`)}
	for range 2 {
		q.accepted(q.a, long)
	}
	q.until("two run", func() bool { return q.used(q.a).Running.Used == 2 })
	many := make([]api.TaskRequest, 21)
	for i := range many {
		many[i] = long
	}
	if _, _, err := q.a.SubmitBatch(t.Context(), many, ""); task.CodeOf(err) != task.CodeQuotaExceeded {
		t.Errorf("a batch of 21: %v", err)
	}
	if _, _, err := q.a.SubmitBatch(t.Context(), many[:20], ""); err != nil {
		t.Errorf("a batch of 20: %v", err)
	}
	q.refused(q.a, long, task.CodeQuotaExceeded)
	made, err := q.a.CreateSchedule(t.Context(), api.ScheduleRequest{Name: "often", Every: api.Duration(time.Second), Task: []byte(`{"type":"sleep","input":{"seconds":0}}`)})
	if err != nil {
		t.Fatal(err)
	}
	look := func(what string, done func(api.Schedule) bool) {
		t.Helper()
		q.until(what, func() bool {
			var now api.Schedule
			q.get("/v1/schedules/"+made.ID, &now)
			return done(now)
		})
	}
	look("the schedule says why it does not run", func(s api.Schedule) bool {
		return s.Runs == 0 && s.Skipped > 0 && s.Problem != nil && strings.Contains(*s.Problem, `the quota of owner "team-a" is 20 waiting tasks`)
	})
	q.cmd.Process.Signal(syscall.SIGKILL)
	<-q.exited
	q.start()
	q.connect()
	q.until("it is as before", func() bool { u := q.used(q.a); return u.Waiting.Used == 20 && u.Running.Used == 2 })
	q.refused(q.a, long, task.CodeQuotaExceeded)
	// An action that makes room is not kept out by what it is to end.
	if _, err := q.a.SubmitAction(t.Context(), api.ActionRequest{Action: "cancel", Filter: api.ActionFilter{Type: []string{"sleep"}}}, ""); err != nil {
		t.Fatal(err)
	}
	look("the schedule goes on", func(s api.Schedule) bool { return s.Runs > 0 && s.Problem == nil })
	if err := q.a.DeleteSchedule(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	q.settle()
}

// bytes: new tasks are refused once there is too much, and taken again once some has gone.
func (q *quotas) bytes() {
	t := q.t
	large := func(n int) api.TaskRequest {
		return api.TaskRequest{Type: "noop", Input: []byte(`"` + strings.Repeat("x", n-2) + `"`)}
	}
	q.refused(q.b, large(2001), task.CodeTooLarge)
	id, _ := q.accepted(q.b, large(1500))
	if _, err := q.b.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	q.refused(q.b, large(800), task.CodeQuotaExceeded)
	before := q.used(q.b).Bytes.Used
	if err := q.stop(); err != nil {
		t.Fatal(err)
	}
	q.start()
	q.connect()
	if now := q.used(q.b).Bytes.Used; now != before || now < 1500 {
		t.Errorf("%d bytes are kept after a restart, %d before", now, before)
	}
	q.refused(q.b, large(800), task.CodeQuotaExceeded)
	if err := q.b.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	q.accepted(q.b, large(800))
	q.settle()
}

// shown: operators see all owners, and others themselves.
func (q *quotas) shown() {
	t := q.t
	addr, err := os.ReadFile(q.data() + "/address")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"TASKHOST_ADDR=" + strings.TrimSpace(string(addr)), "TASKHOST_TOKEN="}
	for end := time.Now().Add(30 * time.Second); q.used(q.a).Running.Used > 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	q.bin = filepath.Join(built(t), "taskhost")
	out, said, code := q.cli(env, "quota")
	if code != 0 || !strings.Contains(out, "OWNER") || !strings.Contains(out, "team-a") || !strings.Contains(out, "0 of 20") || !strings.Contains(out, "0 of 2 ") || !strings.Contains(out, "of 2.0 KiB") {
		t.Errorf("quota: %d\n%s%s", code, out, said)
	}
	var list api.OwnerQuotaList
	if out, said, code := q.cli(env, "quota", "-o", "json"); code != 0 || json.Unmarshal([]byte(out), &list) != nil || len(list.Quotas) < 2 || list.Next != nil {
		t.Errorf("quota -o json: %d\n%s%s", code, out, said)
	}
	env[1] = "TASKHOST_TOKEN=" + q.secrets[0]
	if _, said, code := q.cli(env, "quota"); code != exitNotAllowed {
		t.Errorf("a member lists quotas: %d %s", code, said)
	}
	if out, _, code := q.cli(env, "whoami"); code != 0 || !strings.Contains(out, "0 of 20") {
		t.Errorf("whoami: %d\n%s", code, out)
	}
}
