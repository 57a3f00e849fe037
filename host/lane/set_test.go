package lane

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/taskhost/taskhost/host/task"
)

func TestCounterOf(t *testing.T) {
	for _, s := range task.States() {
		want := Uncounted
		if s.Active() {
			want = Active
		}
		if s == task.Pending {
			continue
		}
		if got := CounterOf(s, task.WaitNone); got != want {
			t.Errorf("a %s task is in counter %d, want %d", s, got, want)
		}
	}
	for w := task.WaitQueued; w <= task.WaitChildren; w++ {
		want := Waiting
		switch w {
		case task.WaitQueued:
			want = Ready
		case task.WaitDispatched:
			want = Active
		}
		if got := CounterOf(task.Pending, w); got != want {
			t.Errorf("a task that waits, %s, is in counter %d, want %d", w, got, want)
		}
	}
}

// left says that of the lanes just so many are anywhere in memory.
func left(t *testing.T, s *Set, want int) {
	t.Helper()
	if n := len(*s.published.Load()); n != want || cap(s.all) > want+1 || len(s.byKey) != want || len(s.byRow) != want {
		t.Fatalf("%d lanes, room for %d, %d keys and %d rows, want %d of each", n, cap(s.all), len(s.byKey), len(s.byRow), want)
	}
}

// Of lanes that came and went, and of those that were rolled back, nothing stays.
func TestLanesLeaveNothing(t *testing.T) {
	s := NewSet()
	key := func(i int) Key { return Key{Type: fmt.Sprint(i)} }
	for i := range 2000 {
		l := s.Add(int64(i), key(i))
		s.Move(l, Uncounted, l, Active)
	}
	s.Commit()
	for i := range 2000 {
		l := s.ByKey(key(i))
		s.Move(l, Active, l, Uncounted)
	}
	s.Commit()
	if n := s.DropEmpty(); n != 2000 {
		t.Fatalf("%d lanes went, want all", n)
	}
	left(t, s, 0)
	s.Add(1, key(1))
	s.Rollback()
	left(t, s, 0)
	if l := s.Add(1, key(1)); l.ID != 2001 {
		t.Fatalf("a lane that came back has ID %d, want 2001", l.ID)
	}
}

// Readers see after each commit what a plain model of the lanes holds, and nothing of
// what was rolled back, through lanes that come, go and come back.
func TestSetKeepsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type model struct {
			lanes map[Key]Counts
			ids   map[Key]task.LaneID
		}
		clone := func(m model) model { return model{maps.Clone(m.lanes), maps.Clone(m.ids)} }
		s := NewSet()
		open := model{map[Key]Counts{}, map[Key]task.LaneID{}}
		committed := clone(open)
		last := task.LaneID(0)
		commit := func(t *rapid.T) {
			s.Commit()
			committed = clone(open)
			for _, id := range committed.ids {
				last = max(last, id)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"move": func(t *rapid.T) {
				row := rapid.Int64Range(1, 8).Draw(t, "row")
				k := Key{Type: fmt.Sprint(row), Owner: fmt.Sprint(row % 3)}
				l := s.ByKey(k)
				if l == nil {
					l = s.Add(row, k)
					if l.ID <= last {
						t.Fatalf("ID %d was given before", l.ID)
					}
					open.ids[k] = l.ID
				}
				from := rapid.SampledFrom([]Counter{Uncounted, Ready, Waiting, Active}).Draw(t, "from")
				to := rapid.SampledFrom([]Counter{Uncounted, Ready, Waiting, Active}).Draw(t, "to")
				n := open.lanes[k]
				if from != Uncounted && n[from] == 0 {
					from = Uncounted
				}
				s.Move(l, from, l, to)
				n[from]--
				n[to]++
				n[Uncounted] = 0
				open.lanes[k] = n
			},
			"commit": commit,
			"rollback": func(*rapid.T) {
				s.Rollback()
				open = clone(committed)
			},
			"drop": func(t *rapid.T) {
				commit(t)
				s.DropEmpty()
				maps.DeleteFunc(open.lanes, func(_ Key, n Counts) bool { return n == Counts{} })
				maps.DeleteFunc(open.ids, func(k Key, _ task.LaneID) bool { _, ok := open.lanes[k]; return !ok })
				committed = clone(open)
			},
			"": func(t *rapid.T) {
				var ready int64
				var ids []task.LaneID
				list := s.List(0)
				for i, l := range list {
					n := committed.lanes[KeyOf(&l)]
					if got, want := s.Count([]task.LaneID{l.ID})[0], (task.LaneCount{Ready: n[Ready], Waiting: n[Waiting], Active: n[Active]}); got != want || committed.ids[KeyOf(&l)] != l.ID {
						t.Fatalf("lane %+v counts %+v, want %+v under ID %d", l, got, want, committed.ids[KeyOf(&l)])
					}
					if !slices.Equal(s.List(l.ID), list[i+1:]) {
						t.Fatalf("lanes above %d: %+v, want %+v", l.ID, s.List(l.ID), list[i+1:])
					}
					ready += n[Ready]
					ids = append(ids, l.ID)
				}
				for _, name := range []string{"0", "1", "2"} {
					wantOwner(t, s, name, open.lanes, committed.lanes)
				}
				if len(list) != len(committed.lanes) || s.Ready(append(ids, 1<<40)) != ready {
					t.Fatalf("%d lanes with %d ready, want %d with %d", len(list), s.Ready(ids), len(committed.lanes), ready)
				}
			},
		})
	})
}

// wantOwner says that what is summed of an owner is what its lanes hold.
func wantOwner(t *rapid.T, s *Set, name string, open, committed map[Key]Counts) {
	sum := func(lanes map[Key]Counts) (waiting, active int64, there bool) {
		for k, n := range lanes {
			if k.Owner == name {
				waiting += n[Ready] + n[Waiting]
				active += n[Active]
				there = true
			}
		}
		return waiting, active, there
	}
	waiting, active, there := sum(open)
	o := s.owners.find(name)
	if (o != nil) != there || o != nil && (o.waiting != waiting || o.active != active) {
		t.Fatalf("owner %s has %+v, want %d waiting and %d active", name, o, waiting, active)
	}
	waiting, active, _ = sum(committed)
	if u := s.OwnerUse(name); u.Waiting != waiting || u.Running != active {
		t.Fatalf("owner %s is seen with %+v, want %d waiting and %d active", name, u, waiting, active)
	}
}

// Waiting is of a type, over all its lanes, with what the open transaction changes.
func TestWaitingOfAType(t *testing.T) {
	s := NewSet()
	a := s.Add(1, Key{Type: "t", Owner: "a"})
	b := s.Add(2, Key{Type: "t", Owner: "b"})
	other := s.Add(3, Key{Type: "u"})
	s.Move(a, Uncounted, a, Ready)
	s.Move(b, Uncounted, b, Waiting)
	s.Move(other, Uncounted, other, Ready)
	s.Commit()
	s.Move(a, Ready, a, Active)
	s.Move(b, Uncounted, b, Ready)
	if n := s.Waiting("t"); n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
	s.Move(a, Active, a, Waiting)
	s.Rollback()
	if n := s.Waiting("t"); n != 2 {
		t.Errorf("%d wait after a rollback, want 2", n)
	}
	s.Move(a, Ready, a, Active)
	s.Commit()
	if n := s.Waiting("t"); n != 1 || s.Waiting("none") != 0 {
		t.Errorf("%d wait at the end, want 1", n)
	}
}

// TestFindLanes: a finder finds what is there, in whatever order it is asked, and of what is
// gone nothing.
func TestFindLanes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f finder
		there := map[task.LaneID]bool{}
		for id := task.LaneID(1); id < 20; id++ {
			if rapid.Bool().Draw(t, "is there") {
				there[id] = true
				f.all = append(f.all, &Lane{Lane: task.Lane{ID: id}})
			}
		}
		for _, id := range rapid.SliceOf(rapid.Int64Range(0, 21)).Draw(t, "ids") {
			id := task.LaneID(id)
			if l := f.find(id); (l != nil) != there[id] || l != nil && l.ID != id {
				t.Fatalf("of lane %d there is %v", id, l)
			}
		}
	})
}
