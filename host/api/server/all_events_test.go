package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// allEvents is a stream of all tasks' events that is read.
type allEvents struct {
	*testServer
	resp *http.Response
	rd   *bufio.Reader
	body strings.Builder // all that was read
	id   int64           // the last that was told
}

// listen asks for all events, and has read the beginning of the answer when it returns.
func (r *testServer) listenTo(query string, headers ...string) *allEvents {
	r.t.Helper()
	resp := r.open("/v1/events"+query, headers...)
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s", query, resp.Status)
	}
	s := &allEvents{testServer: r, resp: resp, rd: bufio.NewReader(resp.Body)}
	if e, ok := s.next(); ok || s.id == 0 || !strings.HasPrefix(s.body.String(), "retry: ") {
		r.t.Fatalf("%s begins with %+v: %q", query, e, s.body.String())
	}
	return s
}

// allEvent is what the tests look at of an event.
type allEvent struct {
	kind  string
	id    int64
	state api.StateEvent
}

// next reads the next block; false if it is none of an event.
func (s *allEvents) next() (e allEvent, ok bool) {
	s.t.Helper()
	block := readBlock(s.t, s.rd)
	s.body.WriteString(block)
	data := ""
	for line := range strings.SplitSeq(block, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "event":
			e.kind = value
		case "id":
			id, err := strconv.ParseInt(value, 10, 64)
			if err != nil || id < s.id || id == s.id && e.kind != "" {
				s.t.Fatalf("after id %d comes %q", s.id, block)
			}
			e.id, s.id = id, id
		case "data":
			data = value
		}
	}
	if data == "" {
		return e, false
	}
	if e.kind == "state" {
		if err := json.Unmarshal([]byte(data), &e.state); err != nil {
			s.t.Fatal(err)
		}
	}
	return e, true
}

// until reads events until the task is told to have reached the state, and gives them.
func (s *allEvents) until(id string, state task.State) (all []allEvent) {
	s.t.Helper()
	for {
		e, ok := s.next()
		if !ok {
			continue
		}
		if all = append(all, e); e.state.Task.ID == id && e.state.To == state {
			return all
		}
	}
}

// past reads events until the stream has told that it has looked at that place.
func (s *allEvents) past(place int64) (all []allEvent) {
	s.t.Helper()
	for s.id < place {
		if e, ok := s.next(); ok {
			all = append(all, e)
		}
	}
	return all
}

// end ends the stream, and holds what was read against the document.
func (s *allEvents) end() {
	s.t.Helper()
	_ = s.resp.Body.Close()
	if _, err := theContract().check(&answer{s.resp, []byte(s.body.String())}); err != nil {
		s.t.Errorf("the events are not as the document says: %v\n%.2000s", err, s.body.String())
	}
}

// said are events as "type state".
func said(all []allEvent) (out []string) {
	for _, e := range all {
		if e.kind != "state" {
			out = append(out, e.kind)
			continue
		}
		out = append(out, e.state.Task.Type+" "+e.state.To.String())
	}
	return out
}

// TestAllEventsAreTold: the transitions of every task, from the submit to the end, in the order
// of their commits, each with the task as it left it, as its own history has them.
func TestAllEventsAreTold(t *testing.T) {
	r := newTestServer(t, server.Options{})
	s := r.listenTo("")
	gated := r.submit(`{"type":"gated","labels":{"team":"a"},"input":{"secret":1}}`)
	r.started()
	text := r.submit(`{"type":"text"}`)
	all := s.until(text, task.Succeeded)
	later := r.submit(`{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
	r.do("POST", "/v1/tasks/"+later+"/cancel", "")
	all = append(all, s.until(later, task.Canceled)...)
	r.gate <- struct{}{}
	flaky := r.submit(`{"type":"flaky"}`)
	all = append(all, s.until(flaky, task.Failed)...)
	if !slices.ContainsFunc(all, func(e allEvent) bool { return e.state.Task.ID == gated && e.state.To == task.Succeeded }) {
		all = append(all, s.until(gated, task.Succeeded)...)
	}
	if got := fmt.Sprint(said(all[:5])); got != "[gated running text running text succeeded text pending text canceled]" {
		t.Errorf("told are %s", got)
	}
	for _, id := range []string{gated, text, later, flaky} {
		var h api.History
		r.do("GET", "/v1/tasks/"+id+"/history", "").json(t, &h)
		var told []api.Event
		for _, e := range all {
			n := e.state.Task
			if n.ID != id {
				continue
			}
			told = append(told, e.state.Event)
			if n.State != e.state.To || n.Version != e.state.Seq || n.Attempt != e.state.Attempt || n.Input != nil || id == gated && n.Labels["team"] != "a" {
				t.Errorf("%+v is told with %+v", e.state.Event, n)
			}
		}
		if fmt.Sprint(told) != fmt.Sprint(h.Events) {
			t.Errorf("told is %+v\nthe history is %+v", told, h.Events)
		}
	}
	s.end()
	r.wants(r.do("GET", "/v1/events?tenant=a", ""), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/events?state=gone", ""), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/events?group=x", ""), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/events", "", "Last-Event-ID: x"), 400, task.CodeInvalidRequest)
	if a := r.do("HEAD", "/v1/events", ""); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d %s", a.StatusCode, a.body)
	}
}

// TestAllEventsAreFiltered: what is given must all match; what is not asked for moves the id.
func TestAllEventsAreFiltered(t *testing.T) {
	r := newTestServer(t, server.Options{Heartbeat: 50 * time.Millisecond})
	var group api.Group
	r.do("POST", "/v1/groups", `{"name":"g"}`).json(t, &group)
	all := r.listenTo("")
	queries := map[string]string{
		"?type=text":                                  "[text running text succeeded text running text succeeded]",
		"?type=text&type=flaky&state=failed":          "[flaky failed]",
		"?state=failed&state=succeeded":               "[text succeeded text succeeded flaky failed]",
		"?group=" + group.ID:                          "[text running text succeeded]",
		"?group=" + group.ID + "&state=succeeded":     "[text succeeded]",
		"?group=" + group.ID + "&type=flaky":          "[]",
		"?group=" + someID:                            "[]",
		"?owner=default&state=succeeded":              "[text succeeded text succeeded]",
		"?owner=nobody":                               "[]",
		"?state=skipped":                              "[]",
		"?type=flaky&state=running&owner=default":     "[flaky running flaky running]",
		"?type=flaky&state=pending&group=" + group.ID: "[]",
	}
	streams := map[string]*allEvents{}
	for query := range queries {
		streams[query] = r.listenTo(query)
	}
	for _, body := range []string{`{"type":"text"}`, `{"type":"text","group":"` + group.ID + `"}`} {
		all.until(r.submit(body), task.Succeeded)
	}
	all.until(r.submit(`{"type":"flaky"}`), task.Failed)
	for query, want := range queries {
		if got := fmt.Sprint(said(streams[query].past(all.id))); got != want {
			t.Errorf("%s: told are %s, want %s", query, got, want)
		}
		streams[query].end()
	}
}

// TestAllEventsAreReplayed: who comes back with an id is told exactly what came after it, or
// that it cannot be.
func TestAllEventsAreReplayed(t *testing.T) {
	r := newTestServer(t, server.Options{})
	s := r.listenTo("")
	begin := s.id
	first := s.until(r.submit(`{"type":"text"}`), task.Succeeded)
	s.end()
	last := r.submit(`{"type":"text"}`)
	r.final(last)
	header := func(id int64) string { return fmt.Sprint("Last-Event-ID: ", id) }
	whole := r.listenTo("", header(begin)).until(last, task.Succeeded)
	if got := fmt.Sprint(said(whole)); got != "[text running text succeeded text running text succeeded]" {
		t.Errorf("from the beginning: %s", got)
	}
	for i, e := range whole[:len(whole)-1] {
		again := r.listenTo("", header(e.id))
		if got := again.until(last, task.Succeeded); !reflect.DeepEqual(got, whole[i+1:]) {
			t.Errorf("after the event %d: %v, want %v", i, said(got), said(whole[i+1:]))
		}
		again.end()
	}
	if first[0].id != whole[0].id {
		t.Errorf("the first event had the id %d, and has %d", first[0].id, whole[0].id)
	}
	for _, none := range []int64{1, whole[len(whole)-1].id + 1<<45} {
		s := &allEvents{testServer: r, resp: r.open("/v1/events", header(none))}
		s.rd = bufio.NewReader(s.resp.Body)
		_ = readBlock(t, s.rd) // its id is the client's own
		if e, ok := s.next(); !ok || e.kind != "reset" || e.id <= first[0].id {
			t.Errorf("after %d comes %+v", none, e)
		}
		if got := fmt.Sprint(said(s.until(r.submit(`{"type":"text"}`), task.Succeeded))); got != "[text running text succeeded]" {
			t.Errorf("after a reset: %s", got)
		}
		s.end()
	}
}

// TestAllEventsAreOfTheScope: everybody is told of their own owner's tasks, and an admin of all
// or of one owner's.
func TestAllEventsAreOfTheScope(t *testing.T) {
	r := newTestServer(t, server.Options{Heartbeat: 50 * time.Millisecond})
	as := func(owner string, role identity.Role) string {
		return "Authorization: Bearer " + r.token(owner, role)
	}
	ops := as("ops", identity.Admin)
	ann := as("ann", identity.Member)
	bob := as("bob", identity.Viewer)
	all := r.listenTo("", ops)
	begin := all.id
	for _, c := range []struct{ who, query, want string }{
		{ops, "", "[text running text succeeded]"}, {ops, "?owner=ann", "[text running text succeeded]"}, {ops, "?owner=ops", "[]"},
		{ann, "", "[text running text succeeded]"}, {ann, "?owner=bob", "[]"}, {bob, "", "[]"}, {bob, "?owner=ann", "[]"},
	} {
		s := r.listenTo(c.query, c.who)
		var own api.Task
		r.do("POST", "/v1/tasks", `{"type":"text"}`, ann).json(t, &own)
		all.until(own.ID, task.Succeeded)
		if got := fmt.Sprint(said(s.past(all.id))); got != c.want {
			t.Errorf("%q: told are %s, want %s", c.query, got, c.want)
		}
		s.end()
	}
	replay := r.listenTo("", bob, fmt.Sprint("Last-Event-ID: ", begin))
	if got := replay.past(all.id); len(got) != 0 {
		t.Errorf("bob is told again: %v", said(got))
	}
}

// TestStalledListenerHoldsUpNobody: tasks come and go, and who listens is told, whatever a client
// does not read. Once it reads on it is told what was on its way, that it has missed something, and
// what comes then.
func TestStalledListenerHoldsUpNobody(t *testing.T) {
	r := newTestServer(t, server.Options{WriteTimeout: 2 * time.Minute})
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
	slow := &allEvents{testServer: r, rd: bufio.NewReaderSize(conn, 1<<10)}
	for line := ""; line != "\r\n"; { // the head
		if line, err = slow.rd.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	quick := r.listenTo("?state=succeeded")
	const many = 24_000 // events, of some 29 MB: more than is kept and on its way together
	specs := slices.Repeat([]task.Spec{{Type: "text", RunAt: time.Now().Add(time.Hour)}}, many/3)
	for range 3 {
		if _, _, err := r.engine.Submit(t.Context(), task.Scope{Owner: "default"}, specs, nil); err != nil {
			t.Fatal(err)
		}
		quick.until(r.submit(`{"type":"text"}`), task.Succeeded)
	}
	states, reset := 0, false
	for !reset {
		e, ok := slow.next()
		if ok && e.kind == "state" {
			states++
		}
		reset = e.kind == "reset"
	}
	if states == 0 || states >= many {
		t.Errorf("who was slow is told %d events before the reset", states)
	}
	slow.until(r.submit(`{"type":"text"}`), task.Succeeded)
}

// TestClientFollowsAllEvents cuts the client's connection again and again: it is told each
// transition once.
func TestClientFollowsAllEvents(t *testing.T) {
	r := newTestServer(t, server.Options{})
	proxy := newProxy(t, r.addr)
	c, err := client.New(proxy.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	place := r.listenTo("").id
	f := task.EventFilter{Types: []string{"text"}, States: []task.State{task.Running, task.Succeeded}}
	var got []string
	want := 0
	r.submit(`{"type":"text"}`)
	r.submit(`{"type":"flaky"}`)
	for e, err := range c.AllEvents(t.Context(), f, place) {
		if err != nil || e.State == nil || e.ID <= place {
			t.Fatalf("%+v, %v", e, err)
		}
		place = e.ID
		got = append(got, e.State.Task.ID+" "+e.State.To.String())
		if e.State.To != task.Succeeded {
			continue
		}
		if want++; want == 5 {
			break
		}
		proxy.cut()
		r.submit(`{"type":"text"}`)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(got)))) != 10 {
		t.Errorf("told are %v", got)
	}
	for e, err := range c.AllEvents(t.Context(), task.EventFilter{}, 1) {
		if err != nil || e.Reset == nil || e.Reset.Reason == "" || e.ID < place {
			t.Errorf("after an id that is too old: %+v, %v", e, err)
		}
		break
	}
}
