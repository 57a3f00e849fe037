package lane

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

// owners is what the lanes of each owner hold together, and the quotas of all. A host without
// quotas pays for the sums alone.
type owners struct {
	byName sync.Map // *owner by name; readers look at what is atomic
	quotas atomic.Pointer[quotas]
}

// quotas are those in force, with which of their fields bound anybody.
type quotas struct {
	task.Quotas
	waiting, running, bytes bool
}

// owner is what the lanes of one owner hold together.
type owner struct {
	name    string
	lanes   int   // that count here
	waiting int64 // with those of the open transaction
	active  int64
	// committed are both as readers see them.
	committed struct{ waiting, active atomic.Int64 }
	// most is how many attempts may be under way.
	most atomic.Int64
}

// full is for the Set's owner, with what the open transaction began; seenFull for readers.
func (o *owner) full() bool     { return o.active >= o.most.Load() }
func (o *owner) seenFull() bool { return o.committed.active.Load() >= o.most.Load() }

func (o *owner) bound(q task.Quota) {
	most := q.Running
	if most <= 0 {
		most = math.MaxInt64
	}
	o.most.Store(most)
}

func (o *owner) commit() {
	o.committed.waiting.Store(o.waiting)
	o.committed.active.Store(o.active)
}

// ownerOf is whose quota is for tasks of that type and owner: the host's own are nobody's.
func ownerOf(taskType, owner string) string {
	if task.HostsOwn(taskType) {
		return ""
	}
	return owner
}

// join finds or makes what a new lane counts to.
func (s *owners) join(name string) *owner {
	o := s.find(name)
	if o == nil {
		o = &owner{name: name}
		o.bound(s.quotas.Load().Of(name))
		s.byName.Store(name, o)
	}
	o.lanes++
	return o
}

// leave forgets an owner with its last lane.
func (s *owners) leave(o *owner) {
	if o.lanes--; o.lanes == 0 {
		s.byName.Delete(o.name)
	}
}

func (s *owners) find(name string) *owner {
	if o, ok := s.byName.Load(name); ok {
		return o.(*owner)
	}
	return nil
}

// SetQuotas puts quotas in force, in place of all before.
func (s *Set) SetQuotas(q task.Quotas) {
	s.owners.quotas.Store(&quotas{Quotas: q, waiting: q.AnyWaiting(), running: q.AnyRunning(), bytes: q.AnyBytes()})
	s.owners.byName.Range(func(name, o any) bool {
		o.(*owner).bound(q.Of(name.(string)))
		return true
	})
}

// WaitingQuota is the quota of whose tasks of that type and owner are, and how many of all of
// that owner's wait, with those of the open transaction; of nobody if there is no bound on that.
func (s *Set) WaitingQuota(taskType, owner string) (q task.Quota, waiting int64) {
	all := s.owners.quotas.Load()
	if !all.waiting {
		return q, 0
	}
	owner = ownerOf(taskType, owner)
	if q = all.Of(owner); q.Waiting <= 0 {
		return task.Quota{}, 0
	}
	if o := s.owners.find(owner); o != nil {
		waiting = o.waiting
	}
	return q, waiting
}

// BytesQuota is the quota of whose tasks of that type and owner are; of nobody if there is no
// bound on bytes.
func (s *Set) BytesQuota(taskType, owner string) task.Quota {
	if all := s.owners.quotas.Load(); all.bytes {
		return all.Of(ownerOf(taskType, owner))
	}
	return task.Quota{}
}

// BytesCounted says whether anybody has a bound on bytes. It is for everyone.
func (s *Set) BytesCounted() bool { return s.owners.quotas.Load().bytes }

// mayRun is how many attempts an owner may have under way, and how many are; 0 for no bound.
func (s *Set) mayRun(t *task.Task) (most, active int64) {
	all := s.owners.quotas.Load()
	if !all.running {
		return 0, 0
	}
	name := ownerOf(t.Type, t.Owner)
	if most = all.Of(name).Running; most > 0 {
		if o := s.owners.find(name); o != nil {
			active = o.active
		}
	}
	return most, active
}

// runningReached is the bound on attempts under way that keeps tasks of that type and owner
// from being begun; 0 if none does. It is for everyone.
func (s *Set) runningReached(taskType, owner string) int64 {
	if !s.owners.quotas.Load().running {
		return 0
	}
	if o := s.owners.find(ownerOf(taskType, owner)); o != nil && o.seenFull() {
		return o.most.Load()
	}
	return 0
}

// OwnerUse is what one owner has, less the bytes. It is for everyone.
func (s *Set) OwnerUse(name string) task.OwnerUse {
	u := task.OwnerUse{Owner: name, Limit: s.owners.quotas.Load().Of(name)}
	if o := s.owners.find(name); o != nil {
		u.Waiting = o.committed.waiting.Load()
		u.Running = o.committed.active.Load()
	}
	return u
}

// Owners are the names of those that have tasks which are not final, or a quota of their own,
// in no certain order. It is for everyone.
func (s *Set) Owners() (names []string) {
	for name := range s.owners.quotas.Load().Owners {
		names = append(names, name)
	}
	s.owners.byName.Range(func(name, o any) bool {
		n := o.(*owner)
		if name != "" && (n.committed.waiting.Load() != 0 || n.committed.active.Load() != 0) {
			names = append(names, n.name)
		}
		return true
	})
	return names
}
