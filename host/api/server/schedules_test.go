package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

func TestSchedulesOverREST(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("POST", "/v1/schedules", `{"name":"nightly","task":{"type":"text","labels":{"a":"b"}},"cron":"30 2 * * *","time_zone":"Europe/Berlin","jitter":"1s"}`)
	r.wants(a, 201, "")
	var s api.Schedule
	a.json(t, &s)
	if a.Header.Get("Location") != "/v1/schedules/"+s.ID || s.NextAt == nil || s.Cron == nil || s.Every != nil || s.TimeZone != "Europe/Berlin" || s.Missed != "one" || s.Overlap != "allow" ||
		string(s.Task) != `{"type":"text","labels":{"a":"b"}}` || s.LastTask != nil || s.Problem != nil || s.Version != 1 {
		t.Fatalf("made %s", a.body)
	}
	r.wants(r.do("POST", "/v1/schedules", `{"name":"nightly","task":{"type":"text"},"every":"1h"}`), 409, task.CodeConflict)
	ran, err := r.client.RunSchedule(t.Context(), s.ID)
	if err != nil || ran.Labels["a"] != "b" {
		t.Fatalf("run now: %+v, %v", ran, err)
	}
	s, err = r.client.Schedule(t.Context(), s.ID, 3)
	if err != nil || s.Runs != 1 || s.LastTask == nil || *s.LastTask != "/v1/tasks/"+ran.ID || len(s.Preview) != 3 || !s.Preview[1].After(s.Preview[0]) {
		t.Fatalf("after a run: %+v, %v", s, err)
	}
	paused := true
	s, err = r.client.ChangeSchedule(t.Context(), s.ID, api.ScheduleRequest{Paused: &paused, Every: api.Duration(time.Hour)})
	if err != nil || !s.Paused || s.NextAt != nil || s.Cron != nil || s.Every == nil || *s.Every != "1h0m0s" || s.Runs != 1 || s.Name != "nightly" {
		t.Fatalf("changed: %+v, %v", s, err)
	}
	a = r.do("PATCH", "/v1/schedules/"+s.ID, `{"paused":false,"every":"1s","task":{"type":"text","input":1}}`)
	r.wants(a, 200, "")
	r.until("it runs by itself", func() bool {
		s, err = r.client.Schedule(t.Context(), s.ID, 0)
		return err != nil || s.Runs >= 2
	})
	r.wants(r.do("PATCH", "/v1/schedules/"+s.ID, `{"cron":"30 2 * * *","start_at":"2020-01-01T00:00:00Z","end_at":"2020-01-02T00:00:00Z"}`), 200, "")
	for query, want := range map[string]string{"": "", "?preview=2": "[]"} {
		var got map[string]json.RawMessage
		r.do("GET", "/v1/schedules/"+s.ID+query, "").json(t, &got)
		if string(got["preview"]) != want {
			t.Errorf("of one whose runs are over, %q shows the preview %s, want %s", query, got["preview"], want)
		}
	}
	page, err := r.client.SchedulesPage(t.Context(), "", "", 1)
	if err != nil || len(page.Schedules) != 1 || page.Schedules[0].ID != s.ID {
		t.Fatalf("listed: %+v, %v", page, err)
	}
	if err := r.client.DeleteSchedule(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	r.wants(r.do("GET", "/v1/schedules/"+s.ID, ""), 404, task.CodeNotFound)
	r.wants(r.do("POST", "/v1/schedules/"+s.ID+"/run", ""), 404, task.CodeNotFound)
}

func TestSchedulesThatAreRefused(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for body, pointer := range map[string]string{
		`{"name":"x","every":"1h"}`:                                                                                          "/task",
		`{"name":"x","every":"1h","task":{}}`:                                                                                "/task/type",
		`{"task":{"type":"text"},"every":"1h"}`:                                                                              "/name",
		`{"name":"x","task":{"type":"text"}}`:                                                                                "/cron",
		`{"name":"x","task":{"type":"text"},"cron":"* * *"}`:                                                                 "/cron",
		`{"name":"x","task":{"type":"text"},"cron":"0 0 30 2 *"}`:                                                            "/cron",
		`{"name":"x","task":{"type":"text"},"every":"1h","cron":"@daily"}`:                                                   "/cron",
		`{"name":"x","task":{"type":"text"},"every":"1ms"}`:                                                                  "/every",
		`{"name":"x","task":{"type":"text"},"every":"1h","time_zone":"Mars"}`:                                                "/time_zone",
		`{"name":"x","task":{"type":"text"},"every":"1h","overlap":"x"}`:                                                     "/overlap",
		`{"name":"x","task":{"type":"text"},"every":"1h","pause":true}`:                                                      "/pause",
		`{"name":"x","task":{"type":"text","key":"k"},"every":"1h"}`:                                                         "/task",
		`{"name":"x","task":{"type":"text","priority":5000},"every":"1h"}`:                                                   "/task/priority",
		`{"name":"x","task":{"type":"text"},"every":"1h","start_at":"2030-01-02T00:00:00Z","end_at":"2030-01-01T00:00:00Z"}`: "/end_at",
	} {
		a := r.do("POST", "/v1/schedules", body)
		if a.StatusCode != 400 || !strings.Contains(string(a.body), `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %d %s, want a fault at %s", body, a.StatusCode, a.body, pointer)
		}
	}
	r.wants(r.do("POST", "/v1/schedules", `{"name":"x","task":{"type":"none"},"every":"1h"}`), 422, task.CodeUnknownType)
}
