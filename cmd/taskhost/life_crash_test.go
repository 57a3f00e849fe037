package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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

// eachPage has every page of a list read, whose path this is, with a limit: read gives the
// cursor of the next.
func (s *server) eachPage(list string, read func(path string) (next *string)) {
	s.t.Helper()
	for next := read(list); next != nil; {
		next = read(list + "&cursor=" + *next)
	}
}

// allGroups are all groups that there are.
func (s *server) allGroups() (all []api.Group) {
	s.t.Helper()
	s.eachPage("/v1/groups?limit=1000", func(path string) *string {
		var page api.GroupList
		s.get(path, &page)
		all = append(all, page.Groups...)
		return page.Next
	})
	return all
}

// everyTask are all tasks that there are, as lists have them, the oldest first.
func (s *server) everyTask() (all []api.Task) {
	s.t.Helper()
	s.eachPage("/v1/tasks?order=asc&limit=1000", func(path string) *string {
		var page api.TaskList
		s.get(path, &page)
		all = append(all, page.Tasks...)
		return page.Next
	})
	return all
}

// labeled are the tasks that say what they are of.
func labeled(all []api.Task, of string) (out []api.Task) {
	for _, t := range all {
		if t.Labels["of"] == of {
			out = append(out, t)
		}
	}
	return out
}

// verifyGroups holds every group against its members: it is finished, counts them all, and has
// the one finisher that its name labels, made after the last of them was final.
func (s *server) verifyGroups() {
	s.t.Helper()
	groups := s.allGroups()
	for i := range groups {
		g := &groups[i]
		s.until("group "+g.Name+" has its finisher", func() bool {
			if g.State != "finished" || g.OnFinished == nil {
				*g = s.group(g.ID)
			}
			return g.State == "finished" && g.OnFinished != nil
		})
	}
	members := map[string][]api.Task{}
	finishers := map[string][]api.Task{}
	for _, t := range s.everyTask() {
		if t.Group != nil {
			members[*t.Group] = append(members[*t.Group], t)
		}
		finishers[t.Labels["of"]] = append(finishers[t.Labels["of"]], t)
	}
	for _, g := range groups {
		own := finishers[g.Name]
		if len(own) != 1 || !strings.HasSuffix(*g.OnFinished, own[0].ID) {
			s.t.Errorf("group %s has %d finishers", g.Name, len(own))
			continue
		}
		if int64(len(members[g.ID])) != g.Total || g.Done != g.Total || g.Counts["succeeded"] != g.Total {
			s.t.Errorf("group %s has %d members, and counts %d done of %d: %v", g.Name, len(members[g.ID]), g.Done, g.Total, g.Counts)
		}
		for _, m := range members[g.ID] {
			if m.FinishedAt == nil || m.FinishedAt.After(own[0].CreatedAt) {
				s.t.Errorf("group %s: the finisher is of %s, and member %s was %s at %v", g.Name, own[0].CreatedAt, m.ID, m.State, m.FinishedAt)
			}
		}
	}
	s.t.Logf("%d groups", len(groups))
}

// verifyAlone: no two tasks had what one of them was to have alone, and nobody holds or waits for anything any more.
func (s *server) verifyAlone(all []api.Task) {
	s.t.Helper()
	type span struct {
		from, to time.Time
		alone    bool
	}
	byName := map[string][]span{}
	for _, t := range all {
		if t.StartedAt == nil || t.FinishedAt == nil {
			continue
		}
		for _, name := range t.Exclusive {
			byName[name] = append(byName[name], span{*t.StartedAt, *t.FinishedAt, true})
		}
		for _, name := range t.Shared {
			byName[name] = append(byName[name], span{*t.StartedAt, *t.FinishedAt, false})
		}
	}
	for name, spans := range byName {
		slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
		var last, lastAlone time.Time // when the last of them ends, and the last that had it alone
		for _, p := range spans {
			if p.from.Before(lastAlone) || p.alone && p.from.Before(last) {
				s.t.Errorf("somebody had %s from %s, alone %v; others had it until %s, and alone until %s", name, p.from, p.alone, last, lastAlone)
			}
			last = latest(last, p.to)
			if p.alone {
				lastAlone = latest(lastAlone, p.to)
			}
		}
		s.t.Logf("%d tasks had %s", len(spans), name)
	}
	var list api.ResourceList
	if s.get("/v1/resources", &list); len(list.Resources) != 0 {
		s.t.Errorf("all is done, and held or waited for is %+v", list.Resources)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// verifySchedule pauses a schedule of every second, and holds it against the tasks that say that they
// are its own: each run was made once, or left out.
func (s *server) verifySchedule(id, missed string) {
	s.t.Helper()
	s.until("it has run", func() bool {
		var now api.Schedule
		s.get("/v1/schedules/"+id, &now)
		return now.Runs > 1
	})
	var now api.Schedule
	if err := json.Unmarshal(s.want("PATCH", "/v1/schedules/"+id, `{"paused":true}`, http.StatusOK, ""), &now); err != nil {
		s.t.Fatal(err)
	}
	runs := labeled(s.everyTask(), missed)
	due := int64(now.UpdatedAt.Sub(now.CreatedAt) / time.Second)
	if int64(len(runs)) != now.Runs || now.Runs+now.Skipped > due || missed == "all" && now.Skipped != 0 {
		s.t.Errorf("missed %s: %d runs and %d skipped of %d that were due, and %d tasks", missed, now.Runs, now.Skipped, due, len(runs))
	}
	s.t.Logf("missed %s: %d runs, %d skipped", missed, now.Runs, now.Skipped)
}

// scheduled is a schedule of every second whose tasks say that they are of what it does about missed runs.
func (s *server) scheduled(missed string) (id string) {
	s.t.Helper()
	return s.post("/v1/schedules", fmt.Sprintf(`{"name":%q,"every":"1s","missed":%q,"task":{"type":"journal","max_lost":1000,"labels":{"of":%q}}}`, missed, missed, missed))
}

// grouped asks for a group of such members, with a finisher that says that it is of it. Its name if it is surely there.
func (s *server) grouped(n int, members ...string) (name string) {
	name = fmt.Sprintf("g%d-%d", time.Now().UnixNano(), n)
	status, _, err := s.call("POST", "/v1/batches", `{"tasks":[`+strings.Join(members, ",")+`],"group":{"name":"`+name+
		`","on_finished":{"type":"journal","max_lost":1000,"labels":{"of":"`+name+`"}}}}`) // a host that is gone may have made it or not
	if err != nil || status != http.StatusAccepted {
		return ""
	}
	return name
}

// kill -9 of the host while groups are made: each has its finisher, one, after all its
// members. In a soak the host is killed eighty times and more.
func TestCrashGroups(t *testing.T) {
	t.Parallel()
	onEachExecutor(t, "", func(t *testing.T, s *server) {
		s.crashes(2, func(n int) { s.grouped(n, slices.Repeat([]string{`{"type":"journal","max_lost":1000}`}, 1+n%5)...) })
		s.verifyGroups()
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
		all := s.everyTask()
		s.verifySucceeded(accepted, all)
		s.verifyAlone(all)
	})
}

// verifySucceeded: what was accepted is there, and all that is there has succeeded.
func (s *server) verifySucceeded(accepted []string, all []api.Task) {
	s.t.Helper()
	there := map[string]bool{}
	for _, t := range all {
		there[t.ID] = true
		if t.State != task.Succeeded {
			s.t.Errorf("task %s of type %s is %s: %+v", t.ID, t.Type, t.State, t.Error)
		}
	}
	for _, id := range accepted {
		if !there[id] {
			s.t.Errorf("task %s was accepted and is not there", id)
		}
	}
}

// kill -9 of the host while schedules run every second: each run is submitted once, or left
// out, and none is made twice.
func TestCrashSchedules(t *testing.T) {
	t.Parallel()
	onEachExecutor(t, "", func(t *testing.T, s *server) {
		ids := map[string]string{}
		for _, missed := range []string{"skip", "one", "all"} {
			ids[missed] = s.scheduled(missed)
		}
		s.crashes(3, func(int) { time.Sleep(100 * time.Millisecond) })
		for missed, id := range ids {
			s.verifySchedule(id, missed)
		}
		s.settle()
	})
}

// kill -9 of the host while all of it goes on together: groups whose members have resources for
// themselves and with others, spawn children, and are done by workers outside; and a schedule. Nothing is
// stuck, lost or doubled, every group has one finisher, nobody holds anything at the end, and no
// run is made twice.
func TestCrashAllTogether(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", ownProcess+boardBlocks)
	s.start()
	s.known()
	w := s.boardWorkers(4, `"types":["outside"],"limit":3,"wait":"1s","lease":"1s"`)
	schedule := s.scheduled("all")
	var names []string
	var mu sync.Mutex
	s.crashes(2, func(n int) {
		name := s.grouped(n,
			fmt.Sprintf(`{"type":"journal","max_lost":1000,"input":{"seconds":0.01},"exclusive":["r%d"],"shared":["all"]}`, n%3),
			fmt.Sprintf(`{"type":"journal","max_lost":1000,"input":{"fail":1},"shared":["r%d"]}`, (n+1)%3),
			`{"type":"journal","max_lost":1000,"input":{"children":2,"child":{"seconds":0.01}}}`,
			fmt.Sprintf(`{"type":"outside","max_lost":1000,"shared":["r%d"]}`, n%3))
		if name != "" {
			mu.Lock()
			names = append(names, name)
			mu.Unlock()
		}
		time.Sleep(20 * time.Millisecond) // so that what is to be done does not become more and more
	})
	s.verifySchedule(schedule, "all")
	s.settle()
	s.verifyGroups()
	s.settle()
	w.end()
	all := s.everyTask()
	s.verifySucceeded(nil, all)
	s.verifyAlone(all)
	there := map[string]bool{}
	for _, g := range s.allGroups() {
		there[g.Name] = true
	}
	for _, name := range names {
		if !there[name] {
			t.Errorf("group %s was accepted and is not there", name)
		}
	}
	var journals []string
	children := map[string]int{}
	for i := range all {
		switch {
		case all[i].Type == "journal":
			journals = append(journals, all[i].ID)
		case w.ended[all[i].ID] > 1:
			t.Errorf("task %s was finished %d times", all[i].ID, w.ended[all[i].ID])
		}
		if all[i].Parent != nil {
			children[*all[i].Parent]++
		}
	}
	s.verify(journals)
	for parent, n := range children {
		if n != 2 {
			t.Errorf("parent %s has %d children", parent, n)
		}
	}
	var held struct{ Claims []any }
	if s.get("/v1/board/claims", &held); len(held.Claims) != 0 {
		t.Errorf("still held: %v", held.Claims)
	}
	t.Logf("%d tasks in all, %d parents, %d claims were stale", len(all), len(children), w.stale.Load())
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
