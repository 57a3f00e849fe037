package lane

import (
	"container/heap"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Merge gives the ready tasks of many lanes one after another, by priority and then
// age over all of them, of each share no more than it may give. It is for the Set's
// owner, within one transaction.
type Merge struct {
	heads heads
	left  []int // what each share may still give
	read  Read
	set   *Set
	now   time.Time
	given bool // the first head was given: its lane's next is to be found
}

// Head is the first task of a lane's queue.
type Head struct {
	Entry Entry
	Lane  *Lane
	Share int // the index of the share that its lane is in
}

// Merge begins a merge of the lanes of shares, for attempts that begin now. Lanes that are
// gone have nothing, and those whose limits are reached give nothing.
func (s *Set) Merge(shares []task.Share, now time.Time, read Read) (*Merge, error) {
	m := &Merge{read: read, set: s, now: now, left: make([]int, len(shares))}
	for i, share := range shares {
		m.left[i] = share.Max
		for _, id := range share.Lanes {
			l := s.ByID(id)
			if l == nil || l.ready() <= 0 || !s.open(l, now) {
				continue
			}
			e, ok, err := l.head(read)
			if err != nil {
				return nil, err
			}
			if ok {
				m.heads = append(m.heads, Head{e, l, i})
			}
		}
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
	for len(m.heads) > 0 && (m.left[m.heads[0].Share] <= 0 || !m.set.open(m.heads[0].Lane, m.now)) {
		heap.Pop(&m.heads)
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
func (m *Merge) Took(share int) { m.left[share]-- }

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
	heap.Fix(&m.heads, 0)
	return nil
}

// heads is a heap with the head that is claimed first on top.
type heads []Head

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].Entry.Compare(h[j].Entry) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *heads) Push(x any) { *h = append(*h, x.(Head)) }

// Pop implements heap.Interface.
func (h *heads) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
