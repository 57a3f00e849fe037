package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// sse reads server-sent events of one answer as "event id data".
func sse(body string) []map[string]string {
	var out []map[string]string
	for block := range strings.SplitSeq(body, "\n\n") {
		e := map[string]string{}
		for line := range strings.SplitSeq(block, "\n") {
			if k, v, ok := strings.Cut(line, ": "); ok && k != "" {
				e[k] = v
			}
		}
		if e["data"] != "" {
			out = append(out, e)
		}
	}
	return out
}

func TestEventsAreToldWholeAndEnd(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	got := make(chan *answer, 1)
	go func() { got <- r.do("GET", "/v1/tasks/"+id+"/events", "") }()
	r.gate <- struct{}{}
	a := <-got
	if ct := a.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	var states []string
	var last string
	for _, e := range sse(string(a.body)) {
		if e["event"] != "state" {
			continue
		}
		var se api.StateEvent
		if err := json.Unmarshal([]byte(e["data"]), &se); err != nil {
			t.Fatal(err)
		}
		if e["id"] != fmt.Sprint(se.Seq) || se.Task.ID != id || strings.Contains(e["data"], `"input"`) {
			t.Errorf("event %v", e)
		}
		states, last = append(states, se.To.String()), e["id"]
	}
	if fmt.Sprint(states) != "[running succeeded]" {
		t.Errorf("states %v in %s", states, a.body)
	}
	if b := r.do("GET", "/v1/tasks/"+id+"/events", "", "Last-Event-ID: "+last); b.StatusCode != http.StatusNoContent {
		t.Errorf("after the last event: %d %s", b.StatusCode, b.body)
	}
	b := sse(string(r.do("GET", "/v1/tasks/"+id+"/events", "", "Last-Event-ID: 1").body))
	if len(b) != 1 || b[0]["id"] != last {
		t.Errorf("replay after 1: %v", b)
	}
	b = sse(string(r.do("GET", "/v1/tasks/"+id+"/events", "", "Last-Event-ID: 999").body))
	if len(b) != 3 || b[0]["event"] != "reset" {
		t.Errorf("replay of another history: %v", b)
	}
	r.wants(r.do("GET", "/v1/tasks/"+id+"/events", "", "Last-Event-ID: x"), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/tasks/"+id+"/events", "", "Accept: application/json"), 406, "not_acceptable")
}

func TestProgressIsTold(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var progress *api.TaskProgress
	var states []string
	opened := false
	for w, err := range r.client.Events(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if w.Progress != nil && !opened {
			progress, opened = w.Progress, true
			r.gate <- struct{}{}
		}
		if w.State != nil {
			states = append(states, w.State.To.String())
		}
	}
	if progress == nil || *progress != (api.TaskProgress{Done: 1, Total: 4, Message: "waiting"}) {
		t.Errorf("progress %+v", progress)
	}
	if fmt.Sprint(states) != "[running succeeded]" {
		t.Errorf("states %v", states)
	}
}

func TestLogs(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"flaky"}`)
	r.final(id)
	var all api.LogList
	a := r.do("GET", "/v1/tasks/"+id+"/logs", "")
	r.wants(a, 200, "")
	a.json(t, &all)
	if len(all.Lines) != 2 || all.Next != nil || all.Lines[0].Level != "warn" || all.Lines[0].Message != "about to fail" || all.Lines[0].Fields["why"] != "always" || all.Lines[1].Attempt != 2 {
		t.Fatalf("%s", a.body)
	}
	for query, want := range map[string]int{
		"attempt=2": 1, "attempt=3": 0, "level=warn": 2, "level=error": 0, "level=trace": 2, "limit=1": 1,
		"since=" + fmt.Sprint(all.Lines[0].Seq): 1, "since=" + fmt.Sprint(all.Lines[1].Seq): 0,
		"since=2001-01-01T00:00:00Z": 2, "since=2999-01-01T00:00:00Z": 0, "follow=false": 2,
	} {
		var got api.LogList
		a := r.do("GET", "/v1/tasks/"+id+"/logs?"+query, "")
		r.wants(a, 200, "")
		a.json(t, &got)
		if len(got.Lines) != want {
			t.Errorf("%s: %s, want %d lines", query, a.body, want)
		}
		if query == "limit=1" && (got.Next == nil || *got.Next != fmt.Sprint(all.Lines[0].Seq)) {
			t.Errorf("next of the first line: %s", a.body)
		}
	}
	for _, query := range []string{"level=loud", "since=x", "attempt=0", "follow=perhaps", "limit=0"} {
		r.wants(r.do("GET", "/v1/tasks/"+id+"/logs?"+query, ""), 400, task.CodeInvalidRequest)
	}
}

func TestLogsAreFollowed(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var got []string
	for l, err := range r.client.Logs(ctx, id, client.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, l.Message); len(got) == 1 {
			r.gate <- struct{}{} // told before the task ends, or this waits for ever
		}
	}
	if fmt.Sprint(got) != "[waiting at the gate let through]" {
		t.Errorf("lines %v", got)
	}
	a := r.do("GET", "/v1/tasks/"+id+"/logs?follow&level=info", "")
	if ct := a.Header.Get("Content-Type"); ct != "application/x-ndjson" || strings.Count(string(a.body), "\n") != 1 || !json.Valid(a.body) {
		t.Errorf("%s: %s", ct, a.body)
	}
}

// TestLogsByText: lines with a text, or with it in a field, in a page and as they come.
func TestLogsByText(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"flaky","max_attempts":1}`)
	r.final(id)
	for text, want := range map[string]int{"FAIL": 1, "alWays": 1, "why": 0, "none": 0, "": 1} {
		for _, follow := range []bool{false, true} {
			n := 0
			for _, err := range r.client.Logs(t.Context(), id, client.LogOptions{Text: text, Follow: follow}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != want {
				t.Errorf("%q: %d lines, want %d", text, n, want)
			}
		}
	}
}

// TestFollowersMissNothing has a task that logs much faster than lines are stored.
func TestFollowersMissNothing(t *testing.T) {
	const lines = 3000
	r := &testServer{t: t, gate: make(chan struct{}), began: make(chan string, 1), log: &syncBuffer{}}
	chatty := sdk.Script{TypeInfo: sdk.TypeInfo{Name: "chatty"}, Run: func(_ context.Context, t sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		for i := range lines {
			if i == lines/3 {
				r.began <- t.ID
				<-r.gate
			}
			rep.Log().Info(fmt.Sprint(i))
		}
		return sdk.Text(""), nil
	}}
	exec, err := sdk.NewScripts(chatty)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(exec, server.Options{})
	id := r.submit(`{"type":"chatty"}`)
	r.started()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	next := 0
	for l, err := range r.client.Logs(ctx, id, client.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if l.Message != fmt.Sprint(next) {
			t.Fatalf("line %s where %d was to come", l.Message, next)
		}
		if next == 10 {
			close(r.gate)
		}
		next++
	}
	if next != lines {
		t.Errorf("%d lines of %d", next, lines)
	}
}

// TestClientReconnects cuts the connection of a watcher and of a follower.
func TestClientReconnects(t *testing.T) {
	r := newTestServer(t, server.Options{})
	proxy := newProxy(t, r.addr)
	c, err := client.New(proxy.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := r.submit(`{"type":"gated"}`)
	r.started()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	logged := make(chan []string, 1)
	heard := make(chan struct{})
	go func() {
		var got []string
		for l, err := range c.Logs(ctx, id, client.LogOptions{Follow: true}) {
			if err != nil {
				t.Error(err)
			}
			if got = append(got, l.Message); len(got) == 1 {
				close(heard)
			}
		}
		logged <- got
	}()
	<-heard
	var states []string
	for w, err := range c.Events(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if w.State == nil {
			continue
		}
		states = append(states, w.State.To.String())
		if w.State.To == task.Running {
			proxy.cut()
			r.gate <- struct{}{}
		}
	}
	if fmt.Sprint(states) != "[running succeeded]" {
		t.Errorf("states %v", states)
	}
	if got := <-logged; fmt.Sprint(got) != "[waiting at the gate let through]" {
		t.Errorf("lines %v", got)
	}
}

// proxy passes TCP on, until it is cut.
type proxy struct {
	addr  string
	conns chan net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), conns: make(chan net.Conn, 100)}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.conns <- in
			p.conns <- out
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return p
}

func pass(from, to net.Conn) {
	_, _ = bufio.NewReader(from).WriteTo(to)
	_ = from.Close()
	_ = to.Close()
}

func (p *proxy) cut() {
	for {
		select {
		case c := <-p.conns:
			_ = c.Close()
		default:
			return
		}
	}
}

// TestSlowWatcherIsCut has a client that reads nothing while a task reports on.
func TestSlowWatcherIsCut(t *testing.T) {
	r := &testServer{t: t, gate: make(chan struct{}), began: make(chan string, 1), log: &syncBuffer{}}
	big := strings.Repeat("m", 4000)
	busy := sdk.Script{TypeInfo: sdk.TypeInfo{Name: "busy"}, Run: func(ctx context.Context, t sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		r.began <- t.ID
		for i := int64(1); ; i++ {
			select {
			case <-r.gate:
				return sdk.Text("done"), nil
			case <-ctx.Done():
				return sdk.Result{}, context.Cause(ctx)
			case <-time.After(50 * time.Microsecond):
				rep.Progress(i, 0, big)
			}
		}
	}}
	exec, err := sdk.NewScripts(busy)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(exec, server.Options{WriteTimeout: 300 * time.Millisecond})
	id := r.submit(`{"type":"busy"}`)
	r.started()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /v1/tasks/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n", id)
	// A second watcher is told all along, whatever the first does.
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	n := 0
	for w, err := range r.client.Events(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 20 {
			close(r.gate)
		}
		if w.State != nil && w.State.To.Final() && w.State.To != task.Succeeded {
			t.Errorf("ended %s", w.State.To)
		}
	}
	if n < 20 {
		t.Errorf("the quick watcher was told %d things", n)
	}
}

func TestShutdownEndsStreamsAndHeldRequests(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	held, streamed := make(chan *answer, 1), make(chan *answer, 1)
	all := make(chan error, 1)
	resp, err := http.Get("http://" + r.addr + "/v1/tasks/" + id + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	go func() { held <- r.do("GET", "/v1/tasks/"+id+"?wait=60s", "") }()
	go func() { streamed <- r.do("GET", "/v1/tasks/"+id+"/logs?follow", "") }()
	// Both are under way when the server has read their heads; a shutdown before
	// that would close them unanswered, so ask until a first line has come.
	rd := bufio.NewReader(resp.Body)
	if _, err := rd.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	events := r.open("/v1/events")
	go func() {
		_, err := io.Copy(io.Discard, events.Body)
		all <- err
	}()
	waitForRequests(t, r, 4)
	ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
	defer stop()
	if err := r.server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if a := <-held; a.StatusCode != 200 || !strings.Contains(string(a.body), `"state":"running"`) {
		t.Errorf("held: %d %s", a.StatusCode, a.body)
	}
	if a := <-streamed; a.StatusCode != 200 {
		t.Errorf("streamed: %d", a.StatusCode)
	}
	if err := <-all; err != nil {
		t.Errorf("all events: %v", err)
	}
}

var _ server.Service = (*engine.Engine)(nil)
