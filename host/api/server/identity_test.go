package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// access is what a route lets whom do. Every route has a row.
type access struct {
	needs identity.Role // "" for everyone
	// owned says that the path names what belongs to ann: to bob it is not there.
	owned bool
	// path, if given, names what belongs to ann; each caller gets one of their own.
	path func(*matrix) string
	body string
}

// matrix is a server with things that belong to ann, and a token for each kind of caller.
type matrix struct {
	*testServer
	tokens map[string]string // secrets by "ann viewer" and so on
	marks  []string          // what tells of ann's things
}

func (m *matrix) as(caller, method, path, body string) *answer {
	m.t.Helper()
	if caller == "" {
		return m.do(method, path, body)
	}
	return m.do(method, path, body, "Authorization: Bearer "+m.tokens[caller])
}

// made is the id of something that ann makes.
func (m *matrix) made(path, body string) string {
	m.t.Helper()
	a := m.as("ann member", "POST", path, body)
	var made struct{ ID string }
	a.json(m.t, &made)
	if made.ID == "" {
		m.t.Fatalf("POST %s: %d %s", path, a.StatusCode, a.body)
	}
	m.marks = append(m.marks, made.ID)
	return made.ID
}

func (m *matrix) pending() string {
	return m.made("/v1/tasks", `{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
}

func (m *matrix) final() string {
	id := m.pending()
	m.wants(m.as("ann member", "POST", "/v1/tasks/"+id+"/cancel", ""), 200, "")
	return id
}

func (m *matrix) paused() string {
	id := m.pending()
	m.wants(m.as("ann member", "POST", "/v1/tasks/"+id+"/pause", ""), 200, "")
	return id
}

func (m *matrix) group() string { return m.made("/v1/groups", `{"name":"anns-group"}`) }

func (m *matrix) finishedGroup() string {
	id := m.group()
	m.wants(m.as("ann member", "POST", "/v1/groups/"+id+"/close", ""), 200, "")
	return id
}

func (m *matrix) schedule() string {
	return m.made("/v1/schedules", fmt.Sprintf(`{"name":"anns-schedule-%d","cron":"@yearly","task":{"type":"text"}}`, len(m.marks)))
}

func (m *matrix) spare() string {
	m.t.Helper()
	t, _, err := m.access.Create(m.t.Context(), identity.Spec{Name: fmt.Sprint("spare ", len(m.access.Tokens())), Owner: "ops", Role: identity.Viewer})
	if err != nil {
		m.t.Fatal(err)
	}
	return t.ID.String()
}

// accesses are the rows of all routes.
func accesses() map[string]access {
	task := func(sub string, of func(*matrix) string) func(*matrix) string {
		return func(m *matrix) string { return "/v1/tasks/" + of(m) + sub }
	}
	group := func(sub string, of func(*matrix) string) func(*matrix) string {
		return func(m *matrix) string { return "/v1/groups/" + of(m) + sub }
	}
	schedule := func(sub string) func(*matrix) string {
		return func(m *matrix) string { return "/v1/schedules/" + m.schedule() + sub }
	}
	token := func(m *matrix) string { return "/v1/tokens/" + m.spare() }
	fixed := func(path string) func(*matrix) string { return func(*matrix) string { return path } }
	const viewer, member, operator, admin = identity.Viewer, identity.Member, identity.Operator, identity.Admin
	all := map[string]access{
		"health": {}, "ready": {}, "version": {}, "openapi": {}, "attemptInput": {}, "attemptCheckpoint": {}, "attemptChildren": {}, "putAttemptResult": {},

		"submitTask": {needs: member, body: `{"type":"text"}`}, "submitBatch": {needs: member, body: `{"tasks":[{"type":"text"}]}`},
		"submitAction": {needs: member, body: `{"action":"cancel","filter":{"type":["none"]}}`},
		"listTasks":    {needs: viewer}, "getStatus": {needs: viewer}, "listTypes": {needs: viewer}, "getType": {needs: viewer, path: fixed("/v1/types/text")},
		"getTask": {needs: viewer, owned: true, path: task("", (*matrix).pending)}, "getResult": {needs: viewer, owned: true, path: task("/result", (*matrix).withResult)},
		"getTaskByKey": {needs: viewer, path: fixed("/v1/tasks/by-key/text/anns-key")},
		"getHistory":   {needs: viewer, owned: true, path: task("/history", (*matrix).pending)}, "getLogs": {needs: viewer, owned: true, path: task("/logs", (*matrix).pending)},
		"getTaskTree": {needs: viewer, owned: true, path: task("/tree", (*matrix).pending)},
		"watchTask":   {needs: viewer, owned: true, path: task("/events", (*matrix).final)}, "watchTasks": {needs: viewer},
		"deleteTask": {needs: member, owned: true, path: task("", (*matrix).final)}, "cancelTask": {needs: member, owned: true, path: task("/cancel", (*matrix).pending)},
		"retryTask": {needs: member, owned: true, path: task("/retry", (*matrix).final)}, "pauseTask": {needs: member, owned: true, path: task("/pause", (*matrix).pending)},
		"resumeTask": {needs: member, owned: true, path: task("/resume", (*matrix).paused)},

		"createGroup": {needs: member, body: `{}`}, "listGroups": {needs: viewer}, "getGroup": {needs: viewer, owned: true, path: group("", (*matrix).group)},
		"closeGroup": {needs: member, owned: true, path: group("/close", (*matrix).group)}, "cancelGroup": {needs: member, owned: true, path: group("/cancel", (*matrix).group)},
		"retryGroup": {needs: member, owned: true, path: group("/retry", (*matrix).group)}, "deleteGroup": {needs: member, owned: true, path: group("", (*matrix).finishedGroup)},

		"createSchedule": {needs: member, body: `{"name":"%d","cron":"@yearly","task":{"type":"text"}}`}, "listSchedules": {needs: viewer},
		"getSchedule": {needs: viewer, owned: true, path: schedule("")}, "changeSchedule": {needs: member, owned: true, path: schedule(""), body: `{"paused":true}`},
		"deleteSchedule": {needs: member, owned: true, path: schedule("")}, "runSchedule": {needs: member, owned: true, path: schedule("/run")},

		"claimTasks": {needs: member, body: `{"worker":"w","types":["none"]}`}, "listClaims": {needs: viewer}, "renewClaim": {needs: member}, "checkpointClaim": {needs: member},
		"progressClaim": {needs: member, body: `{"done":1}`}, "logClaim": {needs: member, body: `{"lines":["a"]}`}, "finishClaim": {needs: member},
		"failClaim": {needs: member, body: `{"message":"m"}`}, "releaseClaim": {needs: member}, "trashClaim": {needs: member, body: `{"reason":"r"}`},

		"listResources": {needs: viewer}, "getResource": {needs: viewer, path: fixed("/v1/resources/anns-disk")},

		"listExecutors": {needs: viewer}, "getExecutor": {needs: viewer, path: fixed("/v1/executors/x")}, "listWorkers": {needs: viewer}, "getWorker": {needs: viewer},
		"drainWorker": {needs: operator}, "resumeWorker": {needs: operator},
		"putType": {needs: operator, path: fixed("/v1/types/later"), body: `{}`}, "deleteType": {needs: operator, path: fixed("/v1/types/later")},
		"pauseType": {needs: operator, path: fixed("/v1/types/text/pause")}, "resumeType": {needs: operator, path: fixed("/v1/types/text/resume")},

		"whoami": {needs: viewer}, "listQuotas": {needs: operator}, "createToken": {needs: admin, body: `{"name":"made %d","owner":"ops","role":"viewer"}`}, "listTokens": {needs: admin},
		"getToken": {needs: admin, path: token}, "revokeToken": {needs: admin, path: token}, "listAudit": {needs: admin},
	}
	all["claimTasks"], all["listClaims"] = access{needs: member, body: `{"worker":"w","types":["text"]}`}, access{needs: viewer}
	for verb, body := range map[string]string{"renew": "", "checkpoint": "x", "finish": "1", "release": "", "progress": `{"done":1}`, "log": `{"lines":[]}`, "fail": `{"message":"m"}`, "trash": `{"reason":"r"}`} {
		all[verb+"Claim"] = access{needs: member, body: body} // of a token that is nobody's; TestBoardOwners has one of another owner's
	}
	for _, verb := range []string{"pause", "resume", "drain", "restart"} {
		all[verb+"Executor"] = access{needs: operator, path: fixed("/v1/executors/x/" + verb)}
	}
	return all
}

// withResult is a task of ann's that has a result.
func (m *matrix) withResult() string {
	id := m.made("/v1/tasks", `{"type":"text"}`)
	m.wants(m.as("ann member", "GET", "/v1/tasks/"+id+"?wait=30s", ""), 200, "")
	return id
}

// TestWhoMayDoWhat goes over every route that is served with every kind of caller: what is
// another owner's is not there, what needs a greater role is forbidden, nothing that a
// stranger is answered tells of what is ann's, and who says nothing is let in nowhere.
func TestWhoMayDoWhat(t *testing.T) {
	m := &matrix{testServer: newTestServer(t, server.Options{}), tokens: map[string]string{}}
	m.tokens["ops admin"] = m.token("ops", identity.Admin)
	for _, owner := range []string{"ann", "bob"} {
		for _, r := range []identity.Role{identity.Viewer, identity.Member} {
			m.tokens[owner+" "+string(r)] = m.token(owner, r)
		}
	}
	m.tokens["ops operator"] = m.token("ops", identity.Operator)
	m.made("/v1/tasks", `{"type":"gated","exclusive":["anns-disk"],"key":"anns-gate"}`)
	m.started()
	m.made("/v1/tasks", `{"type":"text","run_at":"2999-01-01T00:00:00Z","key":"anns-key","labels":{"anns-label":"x"}}`)
	m.group()
	m.schedule()
	m.marks = append(m.marks, "anns-")
	rows := accesses()
	eachOperation(theContract(), func(method, path string, op map[string]any) {
		id := fmt.Sprint(op["operationId"])
		row, ok := rows[id]
		if !ok {
			t.Errorf("%s %s (%s) has no row: say who may ask for it", method, path, id)
			return
		}
		delete(rows, id)
		m.tryRoute(method, path, id, row)
	})
	for id := range rows {
		t.Errorf("there is no operation %s", id)
	}
}

func (m *matrix) tryRoute(method, path, id string, row access) {
	target, _ := sample(method, path)
	for n, c := range []struct {
		caller string
		role   identity.Role
		sees   bool // what is ann's
	}{{"", "", false}, {"ann viewer", identity.Viewer, true}, {"bob viewer", identity.Viewer, false}, {"bob member", identity.Member, false}, {"ann member", identity.Member, true},
		{"ops operator", identity.Operator, true}, {"ops admin", identity.Admin, true}} {
		at := target
		if row.path != nil {
			at = row.path(m)
		}
		body := row.body
		if strings.Contains(body, "%d") {
			body = fmt.Sprintf(body, 1000+n)
		}
		a := m.as(c.caller, method, at, body)
		what := fmt.Sprintf("%s, %q asks %s %s: %d %.200s", id, c.caller, method, at, a.StatusCode, a.body)
		switch {
		case row.needs == "":
			if a.StatusCode == 401 || a.StatusCode == 403 {
				m.t.Error(what)
			}
		case c.caller == "":
			m.wants(a, 401, task.CodeUnauthenticated)
		case !c.role.May(row.needs):
			m.wants(a, 403, task.CodeForbidden)
		case row.owned && !c.sees:
			m.wants(a, 404, task.CodeNotFound)
		case a.StatusCode == 401, a.StatusCode == 403, row.owned && a.StatusCode == 404:
			m.t.Error(what)
		}
		if text := string(a.body); !c.sees && a.StatusCode < 400 {
			if i := slices.IndexFunc(m.marks, func(mark string) bool { return strings.Contains(text, mark) }); i >= 0 {
				m.t.Errorf("%s\ntells of %s, which is ann's", what, m.marks[i])
			}
		}
		if c.caller == "bob viewer" && (id == "listTypes" || id == "getType" || id == "getStatus") {
			m.countsNothing(a)
		}
	}
}

// countsNothing checks that no count in an answer is more than none, as bob has no tasks yet.
func (m *matrix) countsNothing(a *answer) {
	m.t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		m.t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				if n, ok := member.(float64); ok && n != 0 && slices.Contains([]string{"ready", "waiting", "active", "tasks"}, name) {
					m.t.Errorf("%s %s: %s is %v for who has no tasks: %s", a.Request.Method, a.Request.URL, name, n, a.body)
				}
				walk(member)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
}

// A stream ends when its token is revoked, and a request that is held is told.
func TestRevokedTokensAreCutOff(t *testing.T) {
	r := newTestServer(t, server.Options{})
	admin := r.clientOf(r.token("ops", identity.Admin))
	made, err := admin.CreateToken(t.Context(), api.TokenRequest{Name: "laptop", Owner: "ann", Role: "member"})
	if err != nil {
		t.Fatal(err)
	}
	ann := "Authorization: Bearer " + made.Secret
	var own api.Task
	r.do("POST", "/v1/tasks", `{"type":"gated"}`, ann).json(t, &own)
	r.started()
	ends := make(chan error, 3)
	for _, path := range []string{"/v1/tasks/" + own.ID + "/events", "/v1/tasks/" + own.ID + "/logs?follow", "/v1/events"} {
		resp := r.open(path, ann)
		if _, err := bufio.NewReader(resp.Body).ReadByte(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			ends <- err
		}()
	}
	held := make(chan *answer, 1)
	go func() { held <- r.do("GET", "/v1/tasks/"+own.ID+"?wait=60s", "", ann) }()
	r.until("four requests are held", func() bool { return r.active.Load() >= 4 })
	if err := admin.RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		select {
		case err := <-ends:
			if err != nil {
				t.Errorf("a stream ends with %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("a stream goes on without its token")
		}
	}
	r.wants(<-held, 401, task.CodeUnauthenticated)
	r.wants(r.do("GET", "/v1/tasks", "", ann), 401, task.CodeUnauthenticated)
	r.gate <- struct{}{}
}

// open sends a request whose answer is read piece by piece.
func (r *testServer) open(path string, headers ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Add(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// TestAudit: each change is told with who, from where, and by which request; what was only
// read is not, nor any secret.
func TestAudit(t *testing.T) {
	r := newTestServer(t, server.Options{})
	adminSecret := r.token("ops", identity.Admin)
	admin := r.clientOf(adminSecret)
	secret := r.token("ann", identity.Member)
	ann := "Authorization: Bearer " + secret
	var own api.Task
	r.do("POST", "/v1/tasks", `{"type":"text","run_at":"2999-01-01T00:00:00Z"}`, ann, "X-Request-Id: from-ann/1").json(t, &own)
	r.wants(r.do("GET", "/v1/tasks/"+own.ID, "", ann), 200, "")
	a := r.do("POST", "/v1/tasks/"+own.ID+"/cancel", "", ann, "X-Request-Id: no good id")
	r.wants(a, 200, "")
	r.wants(r.do("POST", "/v1/executors/x/pause", "", ann), 403, task.CodeForbidden)
	r.wants(r.do("DELETE", "/v1/tasks/"+someID, "", ann), 404, task.CodeNotFound)
	var list api.AuditList
	r.until("three events are written", func() bool {
		var err error
		if list, err = admin.AuditPage(t.Context(), identity.Filter{}); err != nil {
			t.Fatal(err)
		}
		return len(list.Events) >= 3
	})
	var got []string
	for _, e := range list.Events {
		got = append(got, fmt.Sprint(e.Owner, " ", e.Role, " ", e.By, " ", e.Action, " ", e.Status, " ", e.Address))
	}
	slices.Reverse(got)
	if want := []string{"ann member token submitTask 202 127.0.0.1", "ann member token cancelTask 200 127.0.0.1", "ann member token pauseExecutor 403 127.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if first := list.Events[len(list.Events)-1]; first.RequestID != "from-ann/1" || first.Token == nil {
		t.Errorf("the first event is %+v", first)
	}
	if id := a.Header.Get("X-Request-Id"); len(id) != 24 || list.Events[1].RequestID != id {
		t.Errorf("a request whose id is none is called %q, and %q in the audit", id, list.Events[1].RequestID)
	}
	if page, err := admin.AuditPage(t.Context(), identity.Filter{Action: "cancelTask", Limit: 1}); err != nil || len(page.Events) != 1 || page.Events[0].Target != "/v1/tasks/"+own.ID+"/cancel" {
		t.Errorf("of one action: %+v, %v", page, err)
	}
	for _, s := range []string{secret, adminSecret} {
		if strings.Contains(r.log.String(), s) || strings.Contains(fmt.Sprint(list.Events), s) {
			t.Error("a secret is in the log or the audit")
		}
	}
}

// TestProxies: OpenStack's headers count from who is trusted, and change nothing from others.
func TestProxies(t *testing.T) {
	r := newTestServer(t, server.Options{})
	store := r.store
	trusted := serveAs(t, r.engine, server.Options{Access: newAccess(t, store, identity.Settings{
		Proxies: identity.Proxies{Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})})
	stranger := serveAs(t, r.engine, server.Options{Access: newAccess(t, store, identity.Settings{
		Proxies: identity.Proxies{Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}})})
	confirmed := []string{"X-Identity-Status: Confirmed", "X-User-Id: u1", "X-Project-Id: p1"}
	var who api.Caller
	for _, c := range []struct {
		headers []string
		status  int
		role    string
		owner   string
	}{
		{append(confirmed, "X-Roles: reader,member"), 200, "member", "p1"},
		{append(confirmed, "X-Roles: Admin, other"), 200, "admin", "p1"},
		{append(confirmed, "X-Roles: reader"), 200, "viewer", "p1"},
		{append(confirmed, "X-Roles: other"), 403, "", ""},
		{append(confirmed[:2:2], "X-Tenant-Id: t1", "X-Roles: member"), 200, "member", "t1"},
		{append(confirmed[:2:2], "X-Roles: admin"), 403, "", ""},
		{append(confirmed[1:3:3], "X-Roles: admin"), 401, "", ""},
		{append([]string{"X-Identity-Status: Invalid"}, append(confirmed[1:3:3], "X-Roles: admin")...), 401, "", ""},
		{append([]string{confirmed[0]}, "X-Project-Id: p1", "X-Roles: admin"), 401, "", ""},
		{nil, 401, "", ""},
	} {
		a := trusted.do("GET", "/v1/whoami", "", c.headers...)
		if a.StatusCode != c.status {
			t.Errorf("%q: %d %s, want %d", c.headers, a.StatusCode, a.body, c.status)
			continue
		}
		if c.status != 200 {
			continue
		}
		a.json(t, &who)
		if who.Role != c.role || who.Owner != c.owner || who.By != "proxy" || who.Name != "u1" {
			t.Errorf("%q: %+v", c.headers, who)
		}
	}
	r.wants(stranger.do("GET", "/v1/whoami", "", append(confirmed, "X-Roles: admin")...), 401, task.CodeUnauthenticated)
}
