package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// newBoardServer serves an engine whose one executor is a board of the type outside, of
// which a result may have 64 bytes.
func newBoardServer(t *testing.T, opts server.Options) *testServer {
	t.Helper()
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	b := board.New(board.Options{})
	x, err := b.Plugin("test").New(sdk.NewConfig("board", []byte(`{"types":["outside"]}`), nil))
	if err != nil {
		t.Fatal(err)
	}
	r := &testServer{t: t, log: &syncBuffer{}}
	r.engine = engine.New(engine.Options{Store: store, Board: b, DrainTimeout: 10 * time.Millisecond,
		Executors: []registry.Binding{{Name: "board", Plugin: "board", Executor: x, OnDemand: true, StopsWithin: board.StopsWithin(10 * time.Second)}}})
	if err := r.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.engine.Close(context.Background()) })
	opts.Log = newLog(r.log)
	r.store = store
	r.access = newAccess(t, store, identity.Settings{})
	opts.Access = r.access
	r.listen(server.NewHandler(r.engine, opts), opts.Log)
	return r
}

// claim submits a task and claims it: its path on the board, and the claim.
func (r *testServer) claim() (path string, c api.BoardClaim) {
	r.t.Helper()
	r.wants(r.do("POST", "/v1/tasks", `{"type":"outside","input":{"n":1}}`), 202, "")
	return r.claimNext()
}

func (r *testServer) claimNext() (path string, c api.BoardClaim) {
	r.t.Helper()
	a := r.do("POST", "/v1/board/claims", `{"worker":"w","types":["outside"],"wait":"20s"}`)
	r.wants(a, 200, "")
	var got api.ClaimAnswer
	a.json(r.t, &got)
	if len(got.Claims) != 1 {
		r.t.Fatalf("claimed: %s", a.body)
	}
	return "/v1/board/claims/" + got.Claims[0].Token, got.Claims[0]
}

// end answers whether a task came to a state, and its error.
func (r *testServer) end(c api.BoardClaim) (t api.Task) {
	r.t.Helper()
	r.do("GET", "/v1/tasks/"+c.Task.ID, "").json(r.t, &t)
	return t
}

func giveBoard(t *testing.T, all given) {
	r := newBoardServer(t, server.Options{})
	big := `"` + strings.Repeat("x", 2<<20) + `"`
	first, _ := r.claim()
	second, _ := r.claim()
	third, _ := r.claim()
	fourth, _ := r.claim()
	stale := "/v1/board/claims/" + someToken
	all.wants(r, [][2]string{
		{`POST /v1/board/claims | {"worker":"w","types":["outside"]}`, "claimTasks 200"},
		{`POST /v1/board/claims | {"worker":"w","types":["nobody"]}`, "claimTasks 422 unknown_type"},
		{`POST /v1/board/claims | {"worker":` + big + `}`, "claimTasks 413 too_large"},
		{`POST /v1/board/claims | {} | Content-Type: text/plain`, "claimTasks 415 unsupported_media_type"},
		{`GET /v1/board/claims?limit=2`, "listClaims 200"},
		{"POST " + first + `/renew`, "renewClaim 200"},
		{"POST " + first + `/progress | {"done":1,"total":2,"message":"m"}`, "progressClaim 200"},
		{"POST " + first + `/log | {"lines":["a",{"level":"warn","message":"b","fields":{"c":"d"}}]}`, "logClaim 200"},
		{"POST " + first + `/checkpoint | {"at":5}`, "checkpointClaim 200"},
		{"POST " + first + `/checkpoint | {` + big + `}`, "checkpointClaim 413 too_large"},
		{"POST " + first + `/finish | {"ok":true} | Content-Type: application/json`, "finishClaim 204"},
		{"POST " + second + `/fail | {"message":"m","retry_after":"1h","code":"no_bucket","details":{"a":1}}`, "failClaim 204"},
		{"POST " + third + `/release`, "releaseClaim 204"},
		{"POST " + fourth + `/trash | {"reason":"r"}`, "trashClaim 204"},
		{"POST " + stale + `/renew`, "renewClaim 409 stale_claim"},
		{"POST " + stale + `/progress | {"done":1}`, "progressClaim 409 stale_claim"},
		{"POST " + stale + `/log | {"lines":[]}`, "logClaim 409 stale_claim"},
		{"POST " + stale + `/checkpoint | {"at":5}`, "checkpointClaim 409 stale_claim"},
		{"POST " + stale + `/finish | {"ok":true}`, "finishClaim 409 stale_claim"},
		{"POST " + stale + `/fail | {"message":"m"}`, "failClaim 409 stale_claim"},
		{"POST " + stale + `/release`, "releaseClaim 409 stale_claim"},
		{"POST " + stale + `/trash | {"reason":"r"}`, "trashClaim 409 stale_claim"},
	})
	for what, field := range map[string]string{"progress": "message", "log": "lines", "fail": "message", "trash": "reason"} {
		all.wants(r, [][2]string{
			{"POST " + stale + "/" + what + ` | {"` + field + `":` + big + `}`, what + "Claim 413 too_large"},
			{"POST " + stale + "/" + what + ` | {} | Content-Type: text/plain`, what + "Claim 415 unsupported_media_type"},
		})
	}
	held, _ := r.claimNext() // the one that was released
	all.wants(r, [][2]string{{"POST " + held + `/finish | {"` + strings.Repeat("x", 17<<20) + `":1}`, "finishClaim 413 too_large"}, {"POST " + held + "/renew", "renewClaim 200"}})
}

// What a worker gets of a task, and what becomes of what it says.
func TestBoardOverHTTP(t *testing.T) {
	r := newBoardServer(t, server.Options{})
	path, c := r.claim()
	if string(c.Task.Input) != `{"n":1}` || c.Task.State != task.Running || c.Task.Checkpoint != nil || time.Until(c.LeaseUntil) < 10*time.Second {
		t.Errorf("claimed: %+v", c)
	}
	r.wants(r.do("POST", path+"/checkpoint", "\x00half"), 200, "")
	a := r.do("POST", path+"/fail", `{"message":"flaky","code":"no_bucket","retry_after":"1ms","details":{"exit":3,"host":"a"}}`)
	r.wants(a, 204, "")
	if got := r.end(c); got.Error == nil || got.Error.Code != "no_bucket" || got.Error.Details["exit"] != "3" || got.Error.Details["host"] != "a" {
		t.Errorf("failed: %+v", got.Error)
	}
	path, c = r.claimNext()
	if string(c.Task.Checkpoint) != "\x00half" || c.Task.Attempt != 2 {
		t.Errorf("claimed again: %+v", c)
	}
	var held api.HeldClaimList
	r.do("GET", "/v1/board/claims", "").json(t, &held)
	if len(held.Claims) != 1 || held.Claims[0].Worker != "w" || held.Claims[0].Task != c.Task.ID || held.Claims[0].Stop != nil || strings.Contains(fmt.Sprint(held), c.Token) {
		t.Errorf("held: %+v", held)
	}
	r.wants(r.do("POST", path+"/finish", "\x89PNG", "Content-Type: image/png"), 204, "")
	res := r.do("GET", "/v1/tasks/"+c.Task.ID+"/result", "")
	if string(res.body) != "\x89PNG" || res.Header.Get("Content-Type") != "image/png" {
		t.Errorf("result %q, %s", res.body, res.Header)
	}
	if events := string(r.do("GET", "/v1/tasks/"+c.Task.ID+"/history", "").body); !strings.Contains(events, "on w") {
		t.Errorf("the history does not say who: %s", events)
	}
}

// A request that is wrong says where, and changes nothing.
func TestBoardRefuses(t *testing.T) {
	r := newBoardServer(t, server.Options{})
	path, c := r.claim()
	for _, row := range [][3]string{
		{"/v1/board/claims", `{"types":["outside"]}`, "/worker"},
		{"/v1/board/claims", `{"worker":"w"}`, "/types"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"limit":0}`, "/limit"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"limit":101}`, "/limit"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"lease":"1ms"}`, "/lease"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"lease":0}`, "/lease"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"wait":"soon"}`, "/wait"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"wait":-1}`, "/wait"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"labels":{"a":1}}`, "/labels/a"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"version":"new"}`, "/version"},
		{"/v1/board/claims", `{"worker":"w","types":["outside"],"typo":1}`, "/typo"},
		{path + "/progress", `{"total":1}`, "/done"},
		{path + "/progress", `{"done":-1}`, "/done"},
		{path + "/progress", `{"done":1.5}`, "/done"},
		{path + "/log", `{}`, "/lines"},
		{path + "/log", `{"lines":[1]}`, "/lines/0"},
		{path + "/log", `{"lines":["a",{"level":"loud","message":"m"}]}`, "/lines/1/level"},
		{path + "/log", `{"lines":[{"level":"info"}]}`, "/lines/0/message"},
		{path + "/log", `{"lines":[` + strings.Repeat(`"",`, board.MaxLines) + `""]}`, "/lines"},
		{path + "/fail", `{}`, "/message"},
		{path + "/fail", `{"message":null}`, "/message"},
		{path + "/fail", `{"message":"m","code":"canceled"}`, "/code"},
		{path + "/fail", `{"message":"m","code":"No Code"}`, "/code"},
		{path + "/fail", `{"message":"m","retry_after":"-1s"}`, "/retry_after"},
		{path + "/fail", `{"message":"m","permanent":"yes"}`, "/permanent"},
		{path + "/trash", `{"reason":""}`, "/reason"},
		{path + "/trash", `{}`, "/reason"},
		{path + "/renew", `{"a":1}`, ""},
		{path + "/release", `{"a":1}`, ""},
		{path + "/finish", `{"half":`, ""},
	} {
		a := r.do("POST", row[0], row[1])
		r.wants(a, 400, task.CodeInvalidRequest)
		var p api.Problem
		a.json(t, &p)
		if row[2] != "" && (len(p.Errors) == 0 || p.Errors[0].Pointer != row[2]) {
			t.Errorf("%s %.80s: %s", row[0], row[1], a.body)
		}
	}
	r.wants(r.do("POST", path+"/finish", "x", "Content-Type: nonsense;;"), 400, task.CodeInvalidRequest)
	for _, token := range []string{"x", strings.Repeat("0", 31), strings.Repeat("g", 32), strings.Repeat("0", 4096)} {
		r.wants(r.do("POST", "/v1/board/claims/"+token+"/renew", ""), 409, task.CodeStaleClaim)
	}
	r.wants(r.do("GET", "/v1/board/claims?cursor=soon", ""), 400, task.CodeInvalidRequest)
	if got := r.end(c); got.State != task.Running {
		t.Errorf("the task is %s", got.State)
	}
	r.wants(r.do("POST", path+"/finish", ""), 204, "")
}

// A list of claims goes on where the page before ended.
func TestBoardListPages(t *testing.T) {
	r := newBoardServer(t, server.Options{})
	var want []string
	for range 5 {
		_, c := r.claim()
		want = append([]string{c.Task.ID}, want...)
	}
	var got []string
	for cursor := ""; ; {
		var page api.HeldClaimList
		r.do("GET", "/v1/board/claims?limit=2"+cursor, "").json(t, &page)
		for _, c := range page.Claims {
			got = append(got, c.Task)
		}
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + *page.Next
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A worker that hangs up while it waits has nothing claimed for it.
func TestBoardClientHangsUp(t *testing.T) {
	r := newBoardServer(t, server.Options{})
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req, err := http.NewRequestWithContext(ctx, "POST", "http://"+r.addr+"/v1/board/claims", strings.NewReader(`{"worker":"gone","types":["outside"],"wait":"5m"}`))
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("it was answered: %s", resp.Status)
		}
	}()
	r.until("it waits", func() bool { return r.active.Load() > 0 })
	hangUp()
	<-gone
	r.until("the server has noticed", func() bool { return r.active.Load() <= 0 })
	path, _ := r.claim()
	r.wants(r.do("POST", path+"/finish", `1`), 204, "")
}

// Tokens of other owners' claims are nobody's.
func TestBoardOwners(t *testing.T) {
	r := newBoardServer(t, server.Options{})
	r.token("ops", identity.Admin)
	tokens := map[string]string{"me": r.token("me", identity.Member), "you": r.token("you", identity.Member)}
	as := func(who string) string { return "Authorization: Bearer " + tokens[who] }
	r.wants(r.do("POST", "/v1/tasks", `{"type":"outside"}`, as("me")), 202, "")
	ask := `{"worker":"w","types":["outside"]}`
	var got api.ClaimAnswer
	r.do("POST", "/v1/board/claims", ask, as("you")).json(t, &got)
	if len(got.Claims) != 0 {
		t.Errorf("you got %+v", got)
	}
	r.do("POST", "/v1/board/claims", ask, as("me")).json(t, &got)
	if len(got.Claims) != 1 {
		t.Fatalf("I got %+v", got)
	}
	path := "/v1/board/claims/" + got.Claims[0].Token
	r.wants(r.do("POST", path+"/finish", "1", as("you")), 409, task.CodeStaleClaim)
	r.wants(r.do("POST", path+"/finish", "1"), 401, task.CodeUnauthenticated)
	r.wants(r.do("POST", path+"/finish", "1", as("me")), 204, "")
}

// Whatever stands in the requests of workers, the server answers, and well.
func FuzzBoardBodies(f *testing.F) {
	for _, seed := range []string{`{"worker":"w","types":["outside"]}`, `{"lines":["a",{"message":"b"}]}`, `{"message":"m","details":{"a":[1]}}`, `{"done":1}`, `{"reason":1}`, `[`, `{"a":`} {
		f.Add(seed)
	}
	h := server.NewHandler(obedient{}, server.Options{})
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"", "/" + someToken + "/progress", "/" + someToken + "/log", "/" + someToken + "/fail", "/" + someToken + "/trash"} {
			w := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/board/claims"+path, strings.NewReader(body))
			req.Host = "localhost"
			h.ServeHTTP(w, req)
			if w.Code >= 500 || w.Code >= 400 && !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
