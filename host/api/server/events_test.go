package server_test

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
)

// TestEventStreamsAreAsDescribed holds streams of tasks that end in all ways against the
// document: each kind of event that it has comes, each as it says and no others, and they
// tell the history.
func TestEventStreamsAreAsDescribed(t *testing.T) {
	r := newTestServer(t, server.Options{})
	kinds := map[string]bool{}
	gated := r.submit(`{"type":"gated","input":{"a":1},"key":"k","labels":{"team":"a"}}`)
	r.started()
	wantHistory(t, r, gated, kinds, r.watchUntilProgress(gated, func() { r.gate <- struct{}{} }))

	canceled := r.submit(`{"type":"gated"}`)
	r.started()
	wantHistory(t, r, canceled, kinds, r.watchUntilProgress(canceled, func() { r.do("POST", "/v1/tasks/"+canceled+"/cancel", "") }))

	for _, request := range []string{`{"type":"flaky"}`, `{"type":"echo","input":1}`, `{"type":"binary"}`} {
		id := r.submit(request)
		r.final(id)
		wantHistory(t, r, id, kinds, r.do("GET", "/v1/tasks/"+id+"/events", ""))
	}
	later := r.submit(`{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
	r.do("POST", "/v1/tasks/"+later+"/cancel", "")
	wantHistory(t, r, later, kinds, r.do("GET", "/v1/tasks/"+later+"/events", "", "Last-Event-ID: 999"))

	message, _ := theContract().at("components", "schemas", "EventMessage", "discriminator", "mapping")
	if got, want := slices.Sorted(maps.Keys(kinds)), slices.Sorted(maps.Keys(message)); !slices.Equal(got, want) {
		t.Errorf("events of the kinds %v came, the document has %v", got, want)
	}
}

// watchUntilProgress reads a stream of events from before then, which is called at the
// first progress and has the task end.
func (r *testServer) watchUntilProgress(id string, then func()) *answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.addr+"/v1/tasks/"+id+"/events", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	rd := bufio.NewReader(resp.Body)
	var body strings.Builder
	for !strings.HasSuffix(body.String(), "event: progress\n") {
		line, err := rd.ReadString('\n')
		if err != nil {
			r.t.Fatalf("%v after %s", err, body.String())
		}
		body.WriteString(line)
	}
	then()
	rest, err := io.ReadAll(rd)
	if err != nil {
		r.t.Fatal(err)
	}
	return &answer{resp, append([]byte(body.String()), rest...)}
}

// wantHistory checks a stream that was read to its end, and notes the kinds of its events.
func wantHistory(t *testing.T, r *testServer, id string, kinds map[string]bool, a *answer) {
	t.Helper()
	if _, err := theContract().check(a); err != nil {
		t.Errorf("the events are not as the document says: %v\n%s", err, a.body)
	}
	var h api.History
	r.do("GET", "/v1/tasks/"+id+"/history", "").json(t, &h)
	var told []api.Event
	for _, e := range sse(string(a.body)) {
		kinds[e["event"]] = true
		if e["event"] != "state" {
			continue
		}
		var se api.StateEvent
		if err := json.Unmarshal([]byte(e["data"]), &se); err != nil {
			t.Fatal(err)
		}
		told = append(told, se.Event)
	}
	if !reflect.DeepEqual(told, h.Events) {
		t.Errorf("told was %+v\nthe history is %+v", told, h.Events)
	}
}
