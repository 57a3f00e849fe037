package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// crashes has work be done while the host is killed again and again; then all that is on
// record comes to its end.
func (s *server) crashes(few int, work func(n int)) {
	s.t.Helper()
	n := 0
	for range rounds(few) {
		stop := make(chan struct{})
		var working sync.WaitGroup
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				work(n)
				n++
			}
		})
		pause(200*time.Millisecond, 600*time.Millisecond)
		s.kill()
		close(stop)
		working.Wait()
		s.start()
		s.known()
	}
}

// allGroups are all groups that there are.
func (s *server) allGroups() (all []api.Group) {
	s.t.Helper()
	for path := "/v1/groups?limit=1000"; path != ""; {
		var page api.GroupList
		s.get(path, &page)
		all = append(all, page.Groups...)
		path = ""
		if page.Next != nil {
			path = "/v1/groups?limit=1000&cursor=" + *page.Next
		}
	}
	return all
}

// labeled are the tasks with that label.
func (s *server) labeled(label, value string) []api.Task {
	s.t.Helper()
	var page api.TaskList
	s.get("/v1/tasks?limit=1000&label="+url.QueryEscape(label+"="+value), &page)
	if page.Next != nil {
		s.t.Fatalf("more than 1000 tasks have the label %s=%s", label, value)
	}
	return page.Tasks
}

// kill -9 of the host while groups are made: each has its finisher, one, after all its
// members. In a soak the host is killed eighty times and more.
func TestCrashGroups(t *testing.T) {
	t.Parallel()
	onEachExecutor(t, "", func(t *testing.T, s *server) {
		s.crashes(2, func(n int) {
			members := strings.TrimSuffix(strings.Repeat(`{"type":"journal","max_lost":1000},`, 1+n%5), ",")
			name := fmt.Sprintf("g%d-%d", time.Now().UnixNano(), n)
			_, _, _ = s.call("POST", "/v1/batches", `{"tasks":[`+members+`],"group":{"name":"`+name+
				`","on_finished":{"type":"journal","max_lost":1000,"labels":{"of":"`+name+`"}}}}`) // a host that is gone may have made it or not
		})
		for _, g := range s.allGroups() {
			s.until("group "+g.Name+" has its finisher", func() bool {
				g = s.group(g.ID)
				return g.State == "finished" && g.OnFinished != nil
			})
			finishers := s.labeled("of", g.Name)
			if len(finishers) != 1 || !strings.HasSuffix(*g.OnFinished, finishers[0].ID) {
				t.Fatalf("group %s has %d finishers", g.Name, len(finishers))
			}
			var members api.TaskList
			s.get(g.Tasks, &members)
			if int64(len(members.Tasks)) != g.Total || g.Done != g.Total || g.Counts["succeeded"] != g.Total {
				t.Errorf("group %s has %d members, and counts %d done of %d: %v", g.Name, len(members.Tasks), g.Done, g.Total, g.Counts)
			}
			for _, m := range members.Tasks {
				if m.FinishedAt == nil || m.FinishedAt.After(finishers[0].CreatedAt) {
					t.Errorf("group %s: the finisher is of %s, and member %s was %s at %v", g.Name, finishers[0].CreatedAt, m.ID, m.State, m.FinishedAt)
				}
			}
		}
		s.settle()
	})
}

// kill -9 of the host while tasks hold and wait for resources: no two have what one is to
// have alone, all come to their end, and at the end nobody holds anything.
func TestCrashResources(t *testing.T) {
	t.Parallel()
	onEachExecutor(t, "", func(t *testing.T, s *server) {
		var accepted []string
		var mu sync.Mutex
		s.crashes(2, func(n int) {
			mode := []string{"exclusive", "shared", "shared"}[n%3]
			body := fmt.Sprintf(`{"type":"journal","input":{"seconds":0.02},"max_lost":1000,%q:["r%d"]}`, mode, n%2)
			if id := s.trySubmit(body); id != "" {
				mu.Lock()
				accepted = append(accepted, id)
				mu.Unlock()
			}
		})
		s.settle()
		type span struct{ from, to time.Time }
		alone := map[string][]span{}
		others := map[string][]span{}
		for _, id := range accepted {
			got := s.task(id)
			if got.State != task.Succeeded {
				t.Errorf("task %s is %s: %+v", id, got.State, got.Error)
				continue
			}
			ran := span{*got.StartedAt, *got.FinishedAt}
			for _, name := range got.Exclusive {
				alone[name] = append(alone[name], ran)
			}
			for _, name := range got.Shared {
				others[name] = append(others[name], ran)
			}
		}
		for name, spans := range alone {
			for i, a := range spans {
				for _, b := range append(spans[i+1:len(spans):len(spans)], others[name]...) {
					if a.from.Before(b.to) && b.from.Before(a.to) {
						t.Errorf("one had %s alone from %s to %s, and another from %s to %s", name, a.from, a.to, b.from, b.to)
					}
				}
			}
		}
		var list api.ResourceList
		s.get("/v1/resources", &list)
		if len(list.Resources) != 0 {
			t.Errorf("all is done, and held or waited for is %+v", list.Resources)
		}
		t.Logf("%d tasks, of them %d alone with r0", len(accepted), len(alone["r0"]))
	})
}

// kill -9 of the host while schedules run every second: each run is submitted once, or left
// out, and none is made twice.
func TestCrashSchedules(t *testing.T) {
	t.Parallel()
	onEachExecutor(t, "", func(t *testing.T, s *server) {
		ids := map[string]string{}
		for _, missed := range []string{"skip", "one", "all"} {
			ids[missed] = s.post("/v1/schedules", fmt.Sprintf(`{"name":%q,"every":"1s","missed":%q,"task":{"type":"journal","max_lost":1000,"labels":{"of":%q}}}`, missed, missed, missed))
		}
		s.crashes(3, func(int) { time.Sleep(100 * time.Millisecond) })
		for missed, id := range ids {
			s.until("it has run, and is paused", func() bool {
				var now api.Schedule
				s.get("/v1/schedules/"+id, &now)
				return now.Runs > 1
			})
			data := s.want("PATCH", "/v1/schedules/"+id, `{"paused":true}`, http.StatusOK, "")
			var now api.Schedule
			if err := json.Unmarshal(data, &now); err != nil {
				t.Fatal(err)
			}
			runs := s.labeled("of", missed)
			due := int64(now.UpdatedAt.Sub(now.CreatedAt) / time.Second)
			if int64(len(runs)) != now.Runs || now.Runs+now.Skipped > due || missed == "all" && now.Skipped != 0 {
				t.Errorf("missed %s: %d runs and %d skipped of %d that were due, and %d tasks", missed, now.Runs, now.Skipped, due, len(runs))
			}
		}
		s.settle()
	})
}
