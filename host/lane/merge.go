package lane

import (
	"container/heap"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Merge gives the ready tasks of many lanes one after another, of each share no more than it
// may give: by priority, then those of the owner who has least under way in these lanes, of
// two who have as many of the one who was given less lately, of two who were given as much of the
// one whose turn is longer ago, then by age. So an owner's one task waits behind no more of
// another's than what runs. It is for the Set's owner, within one transaction.
type Merge struct {
	owners turns // who have heads
	heads  int   // of all of them
	left   []int // what each share may still give
	read   Read
	set    *Set
	now    time.Time
	given  bool  // the first head was given: its lane's next is to be found
	turn   int64 // how many tasks an owner is given in a row
	pace   *pace
}

// ownerTurn is how far an owner of lanes is with its turn. All but lanes is of the merge that
// looked last.
type ownerTurn struct {
	lanes    int // that are its own
	merge    int64
	heads    heads // of its lanes; their room is used again
	underWay int64 // in the lanes of the merge, with the tasks that were given
	place    turnPlace
	inTurn   int64 // how many tasks it was given since it has its place
}

// turnPlace is where an owner stands among those who wait for a turn.
type turnPlace struct {
	underWay int64
	given    int64 // tasks, before its turn; never much less than Set.given, however few it wanted
	last     int64 // Set.turns at the end of its last turn
}

// Head is the first task of a lane's queue.
type Head struct {
	Entry Entry
	Lane  *Lane
	Share int // the index of the share that its lane is in
}

// An owner's turn is one task or, where attempts end fast, as many as end within turnTime: they
// lie beside one another in the table, and are read and written together. One that a claim has no
// room for goes on in the executor's next.
const (
	turnTime    = 10 * time.Millisecond
	longestTurn = 128
)

// pace tells how fast the attempts of an executor end.
type pace struct {
	turnOf     *ownerTurn // who was given a task last
	unreplaced int64      // that ended, and in whose place none was begun
	ended      int64      // that ended since
	since      time.Time
	at         time.Time // of the merge that looked last
}

// paceSeen is for how long attempts that ended tell how soon others will.
const paceSeen = time.Second

// Merge begins the merge for a claim. Lanes that are gone have nothing, and those whose
// limits are reached give nothing.
func (s *Set) Merge(c *task.Claim, read Read) (*Merge, error) {
	s.merges++
	m := &Merge{read: read, set: s, now: c.Now, left: make([]int, len(c.Shares)), turn: 1, pace: s.paceOf(c.Executor), owners: s.inTurn[:0]}
	ended := int64(0)
	all := finder{all: s.all}
	for i, share := range c.Shares {
		m.left[i] = share.Max
		for _, id := range share.Lanes {
			l := all.find(id)
			if l == nil || l.idle() { // of many lanes most are
				continue
			}
			m.addUnderWay(l)
			ended += l.ended
			l.ended = 0
			if l.ready() <= 0 || !s.open(l, c.Now) {
				continue
			}
			e, ok, err := l.head(read)
			if err != nil {
				return nil, err
			}
			if ok {
				m.addHead(Head{Entry: e, Lane: l, Share: i})
			}
		}
	}
	m.setTurn(c, ended)
	for _, o := range m.owners {
		o.place.underWay = max(o.underWay-o.inTurn, 0) // of a turn that goes on, as it was before
		o.place.given = max(o.place.given, s.given-longestTurn-1)
		heap.Init(&o.heads)
	}
	s.inTurn = m.owners
	heap.Init(&m.owners)
	return m, nil
}

// addHead adds the first task of a lane, whose owner was seen.
func (m *Merge) addHead(h Head) {
	o := h.Lane.turn
	if len(o.heads) == 0 {
		m.owners = append(m.owners, o)
	}
	o.heads = append(o.heads, h)
	m.heads++
}

// setTurn says how long turns are: longer than one task if attempts end as fast as they are
// begun, for then whoever waits for a turn has it soon. Of tasks that take long, an owner's
// turn would keep slots from others for as long. ended is how many did since the last merge.
func (m *Merge) setTurn(c *task.Claim, ended int64) {
	p := m.pace
	if since := c.Now.Sub(p.at); since < 0 || since > paceSeen {
		*p = pace{since: c.Now, turnOf: p.turnOf}
		ended = 0
	}
	p.at = c.Now
	p.ended += ended
	p.unreplaced += ended
	seen := c.Now.Sub(p.since)
	if 2*p.unreplaced >= int64(c.Max) && seen > 0 {
		m.turn = min(max(p.ended*int64(turnTime)/int64(seen), 1), longestTurn)
	}
	if seen > paceSeen {
		p.since = p.since.Add(seen / 2)
		p.ended /= 2
	}
}

// paceOf finds or makes the pace of an executor.
func (s *Set) paceOf(executor string) *pace {
	p := s.paces[executor]
	if p == nil {
		p = &pace{}
		s.paces[executor] = p
	}
	return p
}

// addUnderWay counts what an owner has under way in a lane.
func (m *Merge) addUnderWay(l *Lane) {
	o := l.turn
	if o.merge != m.set.merges {
		if o != m.pace.turnOf { // else it goes on where the last claim of this executor was full
			m.set.endTurn(o)
		}
		o.merge = m.set.merges
		o.underWay = 0
		o.heads = o.heads[:0]
	}
	o.underWay += l.counts[Active].Load() + l.delta[Active]
}

// endTurn gives an owner its place behind all who have as many tasks under way and were given
// less, unless it was given nothing.
func (s *Set) endTurn(o *ownerTurn) {
	if o.inTurn == 0 {
		return
	}
	s.turns++
	s.given = max(s.given, o.place.given)
	o.place = turnPlace{underWay: o.underWay, given: o.place.given + o.inTurn, last: s.turns}
	o.inTurn = 0
}

// Next gives the next task and takes it out of its lane's window; false if there is no
// more. Whether it is still ready the table must tell; if it is, say so by Took.
func (m *Merge) Next() (Head, bool, error) {
	if m.given {
		m.given = false
		if err := m.advance(); err != nil {
			return Head{}, false, err
		}
	}
	for len(m.owners) > 0 {
		first := m.owners[0].heads[0]
		if m.left[first.Share] > 0 && m.set.open(first.Lane, m.now) {
			first.Lane.Window.pop()
			m.given = true
			return first, true, nil
		}
		m.dropFirst()
	}
	return Head{}, false, nil
}

// Together is how many tasks are worth reading at once behind the one that Next gave last, of
// as many as can be kept: so many that those of all lanes can be, or what is left of a turn.
func (m *Merge) Together(kept int) int {
	if n := kept / (4 * m.heads); n > int(m.turn) {
		return min(n, WindowSize)
	}
	return int(m.turn - m.owners[0].inTurn)
}

// Took says that the task that Next gave last, of that share, was claimed.
func (m *Merge) Took(share int) {
	m.left[share]--
	m.pace.unreplaced = max(m.pace.unreplaced-1, 0)
	o := m.owners[0]
	m.pace.turnOf = o
	o.underWay++
	o.inTurn++
	if o.inTurn >= m.turn {
		m.set.endTurn(o)
	}
}

// advance puts the next task of the lane whose first was given in its place.
func (m *Merge) advance() error {
	o := m.owners[0]
	e, ok, err := o.heads[0].Lane.head(m.read)
	if err != nil {
		return err
	}
	if !ok {
		m.dropFirst()
		return nil
	}
	o.heads[0].Entry = e
	heap.Fix(&o.heads, 0)
	heap.Fix(&m.owners, 0)
	return nil
}

// dropFirst leaves the lane out that would give the next task.
func (m *Merge) dropFirst() {
	m.heads--
	o := m.owners[0]
	if heap.Pop(&o.heads); len(o.heads) > 0 {
		heap.Fix(&m.owners, 0)
	} else {
		heap.Pop(&m.owners)
	}
}

// heads is a heap of one owner's heads, with the one that is claimed first on top.
type heads []Head

func (h heads) Len() int      { return len(h) }
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Less implements heap.Interface.
func (h heads) Less(i, j int) bool { return h[i].Entry.Compare(h[j].Entry) < 0 }

// Push implements heap.Interface, and is not used.
func (h *heads) Push(x any) { *h = append(*h, x.(Head)) }

// Pop implements heap.Interface; what it takes away is nobody's any more.
func (h *heads) Pop() any {
	*h = (*h)[:len(*h)-1]
	return nil
}

// turns is a heap of owners who have heads, with the one who is given the next task on top. The
// place of that one alone changes.
type turns []*ownerTurn

func (t turns) Len() int      { return len(t) }
func (t turns) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Less implements heap.Interface.
func (t turns) Less(i, j int) bool {
	a, b := t[i], t[j]
	first, other := &a.heads[0].Entry, &b.heads[0].Entry
	if first.Priority != other.Priority || a.place == b.place {
		return first.Compare(*other) < 0
	}
	if a.place.underWay != b.place.underWay {
		return a.place.underWay < b.place.underWay
	}
	if a.place.given != b.place.given {
		return a.place.given < b.place.given
	}
	return a.place.last < b.place.last
}

// Push implements heap.Interface, and is not used.
func (t *turns) Push(x any) { *t = append(*t, x.(*ownerTurn)) }

// Pop implements heap.Interface; what it takes away is nobody's any more.
func (t *turns) Pop() any {
	*t = (*t)[:len(*t)-1]
	return nil
}
