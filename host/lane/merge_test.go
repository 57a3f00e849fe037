package lane

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taskhost/taskhost/host/task"
)

// table stands for a store's table of ready tasks, by the rows of lanes.
type table map[int64][]Entry

func (tb table) add(row int64, e Entry) {
	at, _ := slices.BinarySearchFunc(tb[row], e, Entry.Compare)
	tb[row] = slices.Insert(tb[row], at, e)
}

func (tb table) remove(row int64, e Entry) bool {
	at, found := slices.BinarySearchFunc(tb[row], e, Entry.Compare)
	if found {
		tb[row] = slices.Delete(tb[row], at, at+1)
	}
	return found
}

// read is a Read.
func (tb table) read(l *Lane, limit int) ([]Entry, error) {
	es := tb[l.Row]
	if end, ok := l.Window.End(); ok {
		at, found := slices.BinarySearchFunc(es, end, Entry.Compare)
		if found {
			at++
		}
		es = es[at:]
	}
	return slices.Clone(es[:min(len(es), limit)]), nil
}

// What a merge gives is what sorting the whole table gives, share by share, through
// tasks that come, go behind the windows' backs, and are rolled back.
func TestMergeIsTheTableInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSet()
		tb := table{}
		seq := int64(0)
		var lanes []*Lane
		for row := range int64(3) {
			lanes = append(lanes, s.Add(row, Key{Type: string(rune('a' + row))}))
		}
		s.Commit()
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				l := rapid.SampledFrom(lanes).Draw(t, "lane")
				for range rapid.SampledFrom([]int{1, 20, 300}).Draw(t, "tasks") {
					seq++
					e := Entry{Priority: rapid.Int64Range(-2, 2).Draw(t, "priority"), Seq: seq}
					tb.add(l.Row, e)
					s.Move(l, Uncounted, l, Ready)
					l.Window.Add(e)
				}
				s.Commit()
			},
			"cancel": func(t *rapid.T) {
				l := rapid.SampledFrom(lanes).Draw(t, "lane")
				if n := len(tb[l.Row]); n > 0 {
					tb.remove(l.Row, tb[l.Row][rapid.IntRange(0, n-1).Draw(t, "which")])
					s.Move(l, Ready, l, Uncounted)
					s.Commit()
				}
			},
			"undone claim": func(t *rapid.T) {
				claim(t, s, tb, lanes, 10, true)
				s.Rollback()
			},
			"claim": func(t *rapid.T) {
				claim(t, s, tb, lanes, rapid.SampledFrom([]int{1, 30, 400}).Draw(t, "most"), false)
				s.Commit()
			},
		})
	})
}

// claim takes up to most tasks: of the first two lanes, which are one share, and of
// the third. undo leaves the table as it was.
func claim(t *rapid.T, s *Set, tb table, lanes []*Lane, most int, undo bool) {
	shares := []task.Share{
		{Lanes: []task.LaneID{lanes[0].ID, lanes[1].ID, 99}, Max: rapid.IntRange(0, 40).Draw(t, "first share")},
		{Lanes: []task.LaneID{lanes[2].ID}, Max: rapid.IntRange(0, 400).Draw(t, "second share")},
	}
	type ready struct {
		e     Entry
		lane  *Lane
		share int
	}
	var want []ready
	for _, l := range lanes {
		share := 0
		if l == lanes[2] {
			share = 1
		}
		for _, e := range tb[l.Row] {
			want = append(want, ready{e, l, share})
		}
	}
	slices.SortFunc(want, func(a, b ready) int { return a.e.Compare(b.e) })
	left := []int{shares[0].Max, shares[1].Max}
	want = slices.DeleteFunc(want, func(r ready) bool { left[r.share]--; return left[r.share] < 0 })
	want = want[:min(len(want), most)]
	m, err := s.Merge(&task.Claim{Shares: shares, Max: most}, tb.read)
	if err != nil {
		t.Fatal(err)
	}
	var got []ready
	for len(got) < most {
		h, ok, err := m.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if _, there := slices.BinarySearchFunc(tb[h.Lane.Row], h.Entry, Entry.Compare); !there {
			continue // the window did not hear that it went
		}
		got = append(got, ready{h.Entry, h.Lane, h.Share})
		m.Took(h.Share)
		s.Move(h.Lane, Ready, h.Lane, Active)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("merged %v, want %v", got, want)
	}
	for _, r := range got {
		if !undo {
			tb.remove(r.lane.Row, r.e)
		}
	}
}

// TestMergeIsFairToOwners: an owner with many tasks delays another's by no more than what
// runs, whose they are does not matter between priorities, and one owner's are by age.
func TestMergeIsFairToOwners(t *testing.T) {
	s, tb := NewSet(), table{}
	seq := int64(0)
	add := func(l *Lane, n int, priority int64) {
		for range n {
			seq++
			e := Entry{Priority: priority, Seq: seq}
			tb.add(l.Row, e)
			s.Move(l, Uncounted, l, Ready)
			l.Window.Add(e)
		}
	}
	greedy, other, modest := s.Add(1, Key{Owner: "greedy", Type: "a"}), s.Add(2, Key{Owner: "greedy", Type: "b"}), s.Add(3, Key{Owner: "modest", Type: "a"})
	for range 2 { // that greedy has under way already
		s.Move(greedy, Uncounted, greedy, Active)
	}
	add(greedy, 3, 0)
	add(other, 3, 0)
	add(modest, 5, 0)
	add(greedy, 1, 9)
	s.Commit()
	m, err := s.Merge(&task.Claim{Max: 100, Shares: []task.Share{{Max: 100, Lanes: []task.LaneID{greedy.ID, other.ID, modest.ID}}}}, tb.read)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for {
		h, ok, err := m.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, h.Entry.Seq)
		m.Took(h.Share)
	}
	// First what is urgent, greedy's third; then modest's until it has as many under way.
	if want := []int64{12, 7, 8, 9, 1, 10, 2, 11, 3, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("given %v, want %v", got, want)
	}
}

// manyOwners are lanes of as many owners, each with tasks that are ready.
type manyOwners struct {
	*Set
	table
	seq   int64
	claim task.Claim
	every time.Duration // there is a claim
}

func newOwners(names ...string) *manyOwners {
	o := &manyOwners{Set: NewSet(), table: table{}, every: 320 * time.Millisecond, claim: task.Claim{Executor: "x", Now: time.Unix(1e9, 0), Shares: []task.Share{{Max: 1 << 20}}}}
	for i, name := range names {
		l := o.Add(int64(i), Key{Owner: name})
		o.claim.Shares[0].Lanes = append(o.claim.Shares[0].Lanes, l.ID)
	}
	return o
}

// busyOwners are 40 with a thousand tasks each, and their names.
func busyOwners() (o *manyOwners, names []string) {
	for i := range 40 {
		names = append(names, string(rune('A'+i)))
	}
	o = newOwners(names...)
	for _, name := range names {
		o.add(name, 1000)
	}
	return o, names
}

func (o *manyOwners) add(owner string, n int) {
	l := o.ByKey(Key{Owner: owner})
	for range n {
		o.seq++
		e := Entry{Place: o.seq, Seq: o.seq}
		o.table.add(l.Row, e)
		o.Move(l, Uncounted, l, Ready)
		l.Window.Add(e)
	}
}

// take claims so many and says whose they are, in a row: "a3 b3" for three of each.
func (o *manyOwners) take(t *testing.T, most int) (lanes []*Lane, turns []string) {
	t.Helper()
	o.claim.Max = most
	o.claim.Now = o.claim.Now.Add(o.every)
	m, err := o.Merge(&o.claim, o.read)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for range most {
		h, ok, err := m.Next()
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		m.Took(h.Share)
		o.remove(h.Lane.Row, h.Entry)
		o.Move(h.Lane, Ready, h.Lane, Active)
		lanes = append(lanes, h.Lane)
		if h.Lane.Owner != last {
			last = h.Lane.Owner
			turns = append(turns, last)
		}
	}
	o.Commit()
	return lanes, turns
}

func (o *manyOwners) end(lanes []*Lane) {
	for _, l := range lanes {
		o.Move(l, Active, l, Uncounted)
	}
	o.Commit()
}

// TestTurns: where attempts end as fast as they begin an owner is given some tasks in a row,
// but none again before all others were; else one at a time.
func TestTurns(t *testing.T) {
	o, names := busyOwners()
	first, turns := o.take(t, 320)
	if len(turns) != 320 {
		t.Fatalf("before anything ended there were %d turns of 320 tasks", len(turns))
	}
	o.end(first)
	var given []string
	for range 5 {
		took, turns := o.take(t, 320)
		if len(turns) != 32 {
			t.Fatalf("320 tasks in %d turns, want 32", len(turns))
		}
		given = append(given, turns...)
		o.end(took)
	}
	for round := range slices.Chunk(given, 40) {
		if slices.Sort(round); !slices.Equal(round, names) {
			t.Fatalf("the turns of a round are %q", round)
		}
	}
	under, _ := o.take(t, 320)
	if more, turns := o.take(t, 320); len(turns) != 320 {
		t.Fatalf("320 tasks in %d turns while 320 are under way that take long", len(turns))
	} else {
		o.end(more)
	}
	o.end(under)
	o.claim.Now = o.claim.Now.Add(time.Minute)
	if _, turns := o.take(t, 320); len(turns) != 320 {
		t.Fatalf("320 tasks in %d turns a minute after others ended", len(turns))
	}
}

// TestTurnsAreShort: an owner's turn is no longer than some milliseconds take to end.
func TestTurnsAreShort(t *testing.T) {
	for every, want := range map[time.Duration]int{time.Millisecond: 128, 40 * time.Millisecond: 80, 320 * time.Millisecond: 10, 900 * time.Millisecond: 3} {
		names := []string{"a", "b", "c", "d", "e"}
		o := newOwners(names...)
		o.every = every
		for _, name := range names {
			o.add(name, 1000)
		}
		for range 3 {
			took, _ := o.take(t, 320)
			if n := longestRun(took); o.merges > 1 && n != want {
				t.Errorf("where 320 tasks end each %s the longest turn has %d, want %d", every, n, want)
			}
			o.end(took)
		}
	}
}

// longestRun is how many tasks of one lane there are in a row.
func longestRun(took []*Lane) (longest int) {
	run := 0
	for i, l := range took {
		if i == 0 || l != took[i-1] {
			run = 0
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// TestTurnGoesOn: a turn that a claim has no more room for goes on in the next of the same
// executor, and is no longer for it; another executor's claim ends it.
func TestTurnGoesOn(t *testing.T) {
	o, _ := busyOwners()
	first, _ := o.take(t, 325)
	o.end(first)
	took, turns := o.take(t, 325)
	o.end(took)
	next, more := o.take(t, 325)
	o.end(next)
	if len(turns) != 33 || len(more) != 33 || more[0] != turns[32] || longestRun(slices.Concat(took, next)) != 10 {
		t.Errorf("turns of 10 are given to %q, then to %q", turns, more)
	}
	_, cut := o.take(t, 5)
	o.claim.Executor = "y"
	if _, err := o.Merge(&o.claim, o.read); err != nil {
		t.Fatal(err)
	}
	o.claim.Executor = "x"
	if _, turns := o.take(t, 1); turns[0] == cut[0] {
		t.Error("a turn went on after a claim of another executor")
	}
}

// TestFewTasksDoNotWaitForTurns: whoever wants less than others is given it before their turns,
// however long these are.
func TestFewTasksDoNotWaitForTurns(t *testing.T) {
	greedy := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	o := newOwners(append(greedy, "modest")...)
	o.every = time.Millisecond
	for _, name := range greedy {
		o.add(name, 10000)
	}
	for i := range 100 {
		o.add("modest", 1)
		took, turns := o.take(t, 320)
		if !slices.Contains(turns, "modest") {
			t.Fatalf("claim %d has turns of %q", i, turns)
		}
		o.end(took)
	}
}

// TestOneSlotIsShared: of two owners who have nothing under way, that one is next who was
// given something longest ago, however old the other's tasks are.
func TestOneSlotIsShared(t *testing.T) {
	o := newOwners("greedy", "modest")
	o.add("greedy", 1000)
	o.add("modest", 2)
	var all []string
	for range 6 {
		took, turns := o.take(t, 1)
		o.end(took)
		all = append(all, turns...)
	}
	if want := []string{"greedy", "modest", "greedy", "modest", "greedy", "greedy"}; !slices.Equal(all, want) {
		t.Errorf("the slot was given to %q, want %q", all, want)
	}
}

// BenchmarkMerge is the beginning of a claim over lanes of 600 owners who all have tasks.
func BenchmarkMerge(b *testing.B) {
	names := make([]string, 600)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	o := newOwners(names...)
	for _, name := range names {
		o.add(name, 100)
	}
	o.Commit()
	o.claim.Max = 320
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Merge(&o.claim, o.read); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkManyLanes is a claim of 320 tasks that take long, over lanes of one owner or of some, whose next
// places then cost no more than where they have a lane each.
func BenchmarkManyLanes(b *testing.B) {
	for _, owners := range []int{1, 20} {
		b.Run(strconv.Itoa(owners), func(b *testing.B) {
			o := newOwners()
			for i := range 4000 {
				l := o.Add(int64(i), Key{Type: strconv.Itoa(i), Owner: strconv.Itoa(i % owners)})
				o.claim.Shares[0].Lanes = append(o.claim.Shares[0].Lanes, l.ID)
				o.Move(l, Uncounted, l, Ready)
				l.Window.Add(Entry{Place: int64(i), Seq: int64(i)})
			}
			o.Commit()
			b.ReportAllocs()
			for b.Loop() {
				m, err := o.Merge(&o.claim, o.read)
				if err != nil {
					b.Fatal(err)
				}
				for range 320 {
					h, ok, err := m.Next()
					if err != nil || !ok {
						b.Fatal(ok, err)
					}
					m.Took(h.Share)
					h.Lane.Window.Add(h.Entry) // for the next claim
				}
			}
		})
	}
}
