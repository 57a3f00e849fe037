package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func (s *suite) dropLanes(want int) {
	s.Helper()
	n, err := s.handle().DropEmptyLanes(s.ctx)
	s.must(err)
	if n != want {
		s.Fatalf("%d lanes went, want %d of %+v", n, want, s.handle().Lanes(0))
	}
}

// wantLanes says of which types there are lanes, and that their ids rise.
func (s *suite) wantLanes(want ...string) []task.Lane {
	s.Helper()
	var types []string
	lanes := s.handle().Lanes(0)
	for i, l := range lanes {
		types = append(types, l.Type)
		if i > 0 && l.ID <= lanes[i-1].ID {
			s.Fatalf("lanes out of order: %+v", lanes)
		}
		if got := s.handle().Lanes(l.ID); !slices.Equal(got, lanes[i+1:]) {
			s.Fatalf("lanes after %d: %+v, want %+v", l.ID, got, lanes[i+1:])
		}
	}
	if !slices.Equal(types, want) {
		s.Fatalf("lanes of %v, want %v", types, want)
	}
	return lanes
}

// emptyLanes: lanes go when nothing in them is pending or held, what was in them
// is found as before, and they come back with the next task, under another id.
func emptyLanes(s *suite) {
	done := s.run(task.Spec{Type: "done"})
	s.succeed(done)
	failed := s.run(task.Spec{Type: "failed"})
	s.settle(failed, task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
	deleted := s.run(task.Spec{Type: "deleted"})
	s.succeed(deleted)
	s.must(s.handle().Delete(s.ctx, mine, deleted.ID))
	s.run(task.Spec{Type: "running"})
	s.insert(task.Spec{Type: "scheduled", RunAt: start.Add(time.Hour)})
	s.insert(task.Spec{Type: "ready"})
	before := s.wantLanes("done", "failed", "deleted", "running", "scheduled", "ready")
	s.dropLanes(3)
	s.dropLanes(0)
	s.wantLanes("running", "scheduled", "ready")
	s.wantCount(task.LaneCount{Ready: 1, Waiting: 1, Active: 1})
	gone := []task.LaneID{before[0].ID, before[1].ID, before[2].ID}
	if n := s.ready(gone); n != 0 || s.count(gone[0]) != (task.LaneCount{}) || len(s.claim(10, gone...)) != 0 {
		s.Fatalf("there is something in lanes that are gone: %d", n)
	}
	if got := s.get(done.ID); got.Type != "done" || got.Owner != "ann" {
		s.Fatalf("the task of a lane that is gone is %+v", got)
	}
	for typ, want := range map[string]int{"done": 1, "failed": 1, "deleted": 0, "ready": 1, "never": 0} {
		p, err := s.handle().List(s.ctx, mine, task.Filter{Types: []string{typ}})
		s.must(err)
		if len(p.Tasks) != want {
			s.Fatalf("%d tasks of type %s are listed, want %d", len(p.Tasks), typ, want)
		}
	}
	last := before[len(before)-1].ID
	again := s.insert(task.Spec{Type: "done"})[0]
	lanes := s.handle().Lanes(last)
	if len(lanes) != 1 || lanes[0].Type != "done" {
		s.Fatalf("after a task for a lane that is gone, the lanes above %d are %+v", last, lanes)
	}
	if got := s.claim(10, lanes[0].ID); len(got) != 1 || got[0].ID != again.ID {
		s.Fatalf("claimed %v of the lane that came back", ids(got))
	}
	s.apply(task.Retry(new(s.get(failed.ID)), "ann", start.Add(time.Minute)))
	lanes = s.wantLanes("running", "scheduled", "ready", "done", "failed")
	if got := s.claim(10, lanes[4].ID); len(got) != 1 || got[0].ID != failed.ID {
		s.Fatalf("claimed %v of the lane of a task that was retried", ids(got))
	}
	s.settle(s.get(failed.ID), task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
	s.reopen()
	s.wantLanes("done", "running", "scheduled", "ready")
}

// manyLanes: however many lanes came and went, there is no more than before.
func manyLanes(s *suite) {
	stays := s.run(task.Spec{Type: "stays"})
	const many = 3000
	for range 2 {
		batch := make([]*task.Task, many)
		for i := range batch {
			batch[i] = s.make(task.Spec{Route: map[string]string{"to": fmt.Sprint(i)}})
		}
		s.put(batch...)
		if n := len(s.handle().Lanes(0)); n != many+1 {
			s.Fatalf("%d lanes, want %d", n, many+1)
		}
		var changes []task.Change
		for _, t := range s.claim(many) {
			changes = append(changes, must(task.Settle(&t, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0)))
		}
		for _, err := range s.handle().Apply(s.ctx, changes) {
			s.must(err)
		}
		s.dropLanes(many)
		s.wantLanes("stays")
	}
	s.succeed(stays)
}

// lanesInUse: no task is lost to a lane that goes at that moment.
func lanesInUse(s *suite) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.handle().DropEmptyLanes(s.ctx); err != nil {
				s.Errorf("drop: %v", err)
				return
			}
		}
	})
	const each = 100
	for client := range 4 {
		wg.Go(func() {
			for i := range each {
				t := s.make(task.Spec{Type: fmt.Sprint("type ", i%3, client)})
				if _, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{t}}); err != nil {
					s.Errorf("insert: %v", err)
					return
				}
				if i%4 == 0 {
					continue // it waits
				}
				c := must(task.Cancel(t, "ann", start))
				if err := s.handle().Apply(s.ctx, []task.Change{c})[0]; err != nil {
					s.Errorf("cancel: %v", err)
				}
			}
			if client == 0 {
				close(stop)
			}
		})
	}
	wg.Wait()
	s.wantCount(task.LaneCount{Ready: each})
	if got := s.claim(2 * each); len(got) != each {
		s.Fatalf("%d tasks could be claimed of %d that waited", len(got), each)
	}
}
