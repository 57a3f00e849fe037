package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

func TestList(t *testing.T) {
	r := newTestServer(t, server.Options{})
	var ids []string
	for i := range 5 {
		ids = append(ids, r.submit(fmt.Sprintf(`{"type":"echo","input":%d,"key":"k%d","labels":{"n":"%d","all":"yes"}}`, i, i, i%2)))
	}
	broken := r.submit(`{"type":"flaky"}`)
	for _, id := range append(ids, broken) {
		r.final(id)
	}
	middle, err := r.client.Get(t.Context(), ids[2])
	if err != nil {
		t.Fatal(err)
	}
	at := url.QueryEscape(middle.CreatedAt.Format(time.RFC3339Nano))
	for query, want := range map[string][]int{ // numbers of the echo tasks; 9 is the broken one
		"":                              {9, 4, 3, 2, 1, 0},
		"?order=asc":                    {0, 1, 2, 3, 4, 9},
		"?type=echo&order=desc":         {4, 3, 2, 1, 0},
		"?type=echo&type=flaky":         {9, 4, 3, 2, 1, 0},
		"?state=failed":                 {9},
		"?state=failed&state=succeeded": {9, 4, 3, 2, 1, 0},
		"?state=pending":                {},
		"?label=n%3D1&label=all%3Dyes":  {3, 1},
		"?label=all%3Dno":               {},
		"?key=k3":                       {3},
		"?executor=x&type=flaky":        {9},
		"?executor=y":                   {},
		"?owner=default&type=flaky":     {9},
		"?owner=other":                  {},
		"?created_after=" + at:          {9, 4, 3},
		"?created_before=" + at:         {1, 0},
		"?finished_after=2000-01-01T00:00:00Z&type=echo": {4, 3, 2, 1, 0},
		"?finished_after=2999-01-01T00:00:00Z":           {},
		"?finished_before=2000-01-01T00:00:00Z":          {},
		"?limit=2":                                       {9, 4},
		"?type=echo&created_before=" + at:                {1, 0},
		"?created_after=2999-01-01T00:00:00Z":            {},
	} {
		a := r.do("GET", "/v1/tasks"+query, "")
		r.wants(a, 200, "")
		var got api.TaskList
		a.json(t, &got)
		numbers := []int{}
		for _, task := range got.Tasks {
			n := 9
			for i, id := range ids {
				if id == task.ID {
					n = i
				}
			}
			numbers = append(numbers, n)
		}
		if fmt.Sprint(numbers) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", query, numbers, want)
		}
		// The same tasks, each as it is there, as lines.
		sep := "?"
		if query != "" {
			sep = "&"
		}
		var lines bytes.Buffer
		for _, shown := range got.Tasks {
			data, err := api.Encode(shown)
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(data)
		}
		a = r.do("GET", "/v1/tasks"+query+sep+"format=jsonl", "")
		r.wants(a, 200, "")
		if string(a.body) != lines.String() || a.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s as lines:\n%s\nwant\n%s", query, a.body, &lines)
		}
	}
	r.wants(r.do("GET", "/v1/tasks?format=csv", ""), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/tasks?format=jsonl", "", "Accept: text/html"), 406, api.CodeNotAcceptable)
}

// endless lists tasks without end, and counts the pages that it was asked for. From the
// page on whose number is fails it cannot read.
type endless struct {
	server.Service
	pages atomic.Int64
	fails int64
}

func (e *endless) List(_ context.Context, _ task.Scope, f task.Filter) (task.Page, error) {
	n := e.pages.Add(1)
	if e.fails > 0 && n >= e.fails {
		return task.Page{}, task.Errorf(task.CodeStoreUnavailable, "gone")
	}
	p := task.Page{Tasks: make([]task.Task, f.Limit)}
	for i := range p.Tasks {
		binary.BigEndian.PutUint64(p.Tasks[i].ID[8:], uint64(n)*uint64(f.Limit)+uint64(i))
		p.Tasks[i].State = task.Pending
	}
	p.Next = p.Tasks[len(p.Tasks)-1].ID
	return p, nil
}

// TestLinesThatBreakOff: half a list never looks like a whole one.
func TestLinesThatBreakOff(t *testing.T) {
	r := serveAs(t, &endless{fails: 3}, server.Options{})
	resp, err := http.Get("http://" + r.addr + "/v1/tasks?format=jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if n := bytes.Count(data, []byte("\n")); err == nil || n > 2*250 {
		t.Errorf("%d lines, and the end is %v", n, err)
	}
	r.wants(serveAs(t, &endless{fails: 1}, server.Options{}).do("GET", "/v1/tasks?format=jsonl", ""), 503, task.CodeStoreUnavailable)

	// So does the end of the server.
	r = serveAs(t, &endless{}, server.Options{})
	if resp, err = http.Get("http://" + r.addr + "/v1/tasks?format=jsonl"); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	go func() { _ = r.server.Shutdown(context.Background()) }()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("a list without end has one")
	}
}

// TestLinesWaitForTheirReader: a client that stops reading has no more pages read for it,
// and is cut off.
func TestLinesWaitForTheirReader(t *testing.T) {
	svc := &endless{}
	r := serveAs(t, svc, server.Options{WriteTimeout: 300 * time.Millisecond})
	conn, _ := raw(t, r.addr, "GET /v1/tasks?format=jsonl HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r.until("the client is cut off", func() bool {
		_, cut := r.closed.Load(conn.LocalAddr().String())
		return cut
	})
	if n := svc.pages.Load(); n > 100 { // what the buffers of the two ends of a connection hold, and one more
		t.Errorf("%d pages were read for a client that reads none", n)
	}
}

func TestListCarriesNoPayloads(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"flaky","input":{"a":1}}`)
	r.final(id)
	if whole := r.do("GET", "/v1/tasks/"+id, ""); !strings.Contains(string(whole.body), `"error":{"code":"script_failed","message":"it broke","attempt":2,"details":{}}`) {
		t.Errorf("a task's error lacks a part: %s", whole.body)
	}
	a := r.do("GET", "/v1/tasks", "")
	var got struct {
		Tasks []json.RawMessage `json:"tasks"`
		Next  *string           `json:"next"`
	}
	a.json(t, &got)
	line := string(got.Tasks[0])
	if strings.Contains(line, `"input"`) || strings.Contains(line, `"result":`) || strings.Contains(line, `"details"`) || !strings.Contains(line, `"error":{"code":"script_failed","message":"it broke","attempt":2}`) {
		t.Errorf("%s", line)
	}
	r.final(r.submit(`{"type":"echo","input":"x"}`))
	if l := r.do("GET", "/v1/tasks?type=echo", ""); !strings.Contains(string(l.body), `"result_type":"application/json"`) {
		t.Errorf("a list does not say that there is a result: %s", l.body)
	}
	if got.Next != nil || a.Header.Get("Link") != "" {
		t.Errorf("a next page of %s", a.body)
	}
}

func TestPages(t *testing.T) {
	r := newTestServer(t, server.Options{})
	body := `{"tasks":[` + strings.TrimSuffix(strings.Repeat(`{"type":"text","labels":{"a b":"c&d"}},`, 7), ",") + `]}`
	r.wants(r.do("POST", "/v1/batches", body), 202, "")
	path, seen, pages := "/v1/tasks?limit=3&label=a+b%3Dc%26d", map[string]bool{}, 0
	for path != "" {
		a := r.do("GET", path, "")
		r.wants(a, 200, "")
		var got api.TaskList
		a.json(t, &got)
		for _, one := range got.Tasks {
			if seen[one.ID] {
				t.Errorf("%s stands on two pages", one.ID)
			}
			seen[one.ID] = true
		}
		pages++
		link := a.Header.Get("Link")
		if (link == "") != (got.Next == nil) {
			t.Errorf("Link %q, next %v", link, got.Next)
		}
		path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	}
	if len(seen) != 7 || pages != 3 {
		t.Errorf("%d tasks on %d pages", len(seen), pages)
	}
	n := 0
	for _, err := range r.client.List(t.Context(), task.Filter{Limit: 2, Labels: map[string]string{"a b": "c&d"}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 7 {
		t.Errorf("the client lists %d", n)
	}
	for _, err := range r.client.List(t.Context(), task.Filter{Labels: map[string]string{"a=b": "c"}}) {
		if task.CodeOf(err) != task.CodeInvalidRequest {
			t.Errorf("a label that no task can have: %v", err)
		}
	}
}

func TestListRefusals(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for query, pointer := range map[string]string{
		"state=done": "/state", "state=": "/state", "limit=0": "/limit", "limit=1001": "/limit", "limit=x": "/limit", "cursor=x": "/cursor", "cursor=17": "/cursor",
		"order=up": "/order", "label=x": "/label", "label=%3Dx": "/label", "created_after=now": "/created_after", "created_before=9999-12-31T23:59:59-01:00": "/created_before", "stat=failed": "/stat",
		"key=a&key=b": "/key", "label=a%3D1&label=a%3D2": "/label", "group=x": "/group",
	} {
		a := r.do("GET", "/v1/tasks?"+query, "")
		p := r.wants(a, 400, task.CodeInvalidRequest)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %s", query, a.body)
		}
	}
}
