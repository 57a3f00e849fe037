package lane

import (
	"container/heap"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Merge gives the ready tasks of many lanes one after another, of each share no more than it
// may give: by priority, then those of the owner who has least under way in these lanes, then
// by age. So an owner's one task waits behind no more of another's than what runs. It is for
// the Set's owner, within one transaction.
type Merge struct {
	heads heads
	left  []int // what each share may still give
	read  Read
	set   *Set
	now   time.Time
	given bool // the first head was given: its lane's next is to be found
	// underWay is how many tasks each owner has under way, those given with them.
	underWay map[string]*int64
}

// Head is the first task of a lane's queue.
type Head struct {
	Entry Entry
	Lane  *Lane
	Share int // the index of the share that its lane is in

	underWay *int64 // of its owner
	turn     int64  // what underWay was when the head was last placed in the heap
}

// Merge begins a merge of the lanes of shares, for attempts that begin now. Lanes that are
// gone have nothing, and those whose limits are reached give nothing.
func (s *Set) Merge(shares []task.Share, now time.Time, read Read) (*Merge, error) {
	m := &Merge{read: read, set: s, now: now, left: make([]int, len(shares)), underWay: map[string]*int64{}}
	for i, share := range shares {
		m.left[i] = share.Max
		for _, id := range share.Lanes {
			l := s.ByID(id)
			if l == nil {
				continue
			}
			owner := m.underWay[l.Owner]
			if owner == nil {
				owner = new(int64)
				m.underWay[l.Owner] = owner
			}
			*owner += l.counts[Active].Load() + l.delta[Active]
			if l.ready() <= 0 || !s.open(l, now) {
				continue
			}
			e, ok, err := l.head(read)
			if err != nil {
				return nil, err
			}
			if ok {
				m.heads = append(m.heads, Head{Entry: e, Lane: l, Share: i, underWay: owner})
			}
		}
	}
	for i := range m.heads {
		m.heads[i].turn = *m.heads[i].underWay
	}
	heap.Init(&m.heads)
	return m, nil
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
	for len(m.heads) > 0 {
		first := &m.heads[0]
		switch {
		case m.left[first.Share] <= 0 || !m.set.open(first.Lane, m.now):
			heap.Pop(&m.heads)
			continue
		case first.turn != *first.underWay: // its owner was given a task of another lane since
			first.turn = *first.underWay
			heap.Fix(&m.heads, 0)
			continue
		}
		break
	}
	if len(m.heads) == 0 {
		return Head{}, false, nil
	}
	h := m.heads[0]
	h.Lane.Window.pop()
	m.given = true
	return h, true, nil
}

// Took says that the task that Next gave last, of that share, was claimed.
func (m *Merge) Took(share int) {
	m.left[share]--
	*m.heads[0].underWay++
}

// advance puts the next task of the lane whose first was given in its place.
func (m *Merge) advance() error {
	first := &m.heads[0]
	e, ok, err := first.Lane.head(m.read)
	if err != nil {
		return err
	}
	if !ok {
		heap.Pop(&m.heads)
		return nil
	}
	first.Entry = e
	first.turn = *first.underWay
	heap.Fix(&m.heads, 0)
	return nil
}

// heads is a heap with the head that is claimed first on top.
type heads []Head

func (h heads) Len() int      { return len(h) }
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Less implements heap.Interface.
func (h heads) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	if a.Entry.Priority == b.Entry.Priority && a.turn != b.turn {
		return a.turn < b.turn
	}
	return a.Entry.Compare(b.Entry) < 0
}

// Push implements heap.Interface.
func (h *heads) Push(x any) { *h = append(*h, x.(Head)) }

// Pop implements heap.Interface.
func (h *heads) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
