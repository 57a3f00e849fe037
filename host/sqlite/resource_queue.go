package sqlite

import (
	"maps"
	"slices"
	"sync"

	"github.com/taskhost/taskhost/host/resource"
)

const (
	queuesKept  = 1 << 13 // of names whose claims are all found by them: 16 MiB at the most
	waitersKept = 64      // of one queue
	claimsKept  = 1 << 15 // that are not found by their names: 14 MiB, if each has a name of its own
)

// resourceName is a resource: names are their owner's.
type resourceName struct{ owner, name string }

// resourceQueue is what the writer keeps of the queue of one name. Whoever holds it are the
// first, up to a place, and whoever has a later one waits.
type resourceQueue struct {
	last    int64         // the place given last: later than the last holder's exactly if somebody waits
	holders int64         // how many hold it
	holder  int64         // the place of the last that got it
	mode    resource.Mode // in which it is held
	// The first that wait, as far as they were read or came since all are there, and how each is to have it.
	waiters []waiter
	modes   []resource.Mode
	all     bool // those are all that wait
	freed   bool // it is among those that the commit looks at

	// The claims that are not found by their names: the holder's, if there is one, and those of some
	// waiters. While there are any, the queue is kept.
	kept       int
	keptHolder int64 // the order key of that holder; 0 for none

	changes bool // the open transaction may have changed it
}

// waiter is a claim that waits. What was appended to a list of them stays as it is: others have
// the list too.
type waiter struct {
	place, task int64
	kept        bool // the claim is not found by its name
}

// resourceQueues is what the writer knows of resources: the queues of names that are in use,
// all of those that the table doesn't tell by itself, and some others; and what the open
// transaction is still to do.
type resourceQueues struct {
	queues  map[resourceName]*resourceQueue
	kept    int            // claims that are not found by their names
	changed []changedQueue // by the open transaction
	freed   []resourceName // that the next may have now
	at      int64          // when that came to be
	ended   [2][]int64     // order keys of tasks whose claims are to be deleted, by claimRow.byName
	coming  []newClaim     // that are to be inserted
	shown   keptClaims
}

// changedQueue is a queue and what it was before the open transaction.
type changedQueue struct {
	name resourceName
	now  *resourceQueue
	was  resourceQueue
}

// change has a rollback bring a queue back to what it is now.
func (q *resourceQueues) change(name resourceName, of *resourceQueue) {
	if of.changes {
		return
	}
	q.changed = append(q.changed, changedQueue{name, of, *of})
	of.changes = true
}

// keep says whether one more claim may go without being found by its name, and counts it.
func (q *resourceQueues) keep(of *resourceQueue) bool {
	if q.kept >= claimsKept {
		return false
	}
	q.kept++
	of.kept++
	return true
}

// forget counts a claim less of those that are not found by their names.
func (q *resourceQueues) forget(of *resourceQueue) {
	q.kept--
	of.kept--
}

// committed is called after the commit.
func (q *resourceQueues) committed() {
	q.shown.update(q.changed)
	for _, c := range q.changed {
		c.now.changes = false
	}
	clear(q.changed)
	q.changed = q.changed[:0]
	q.at = 0
	if len(q.queues) > queuesKept+q.kept {
		maps.DeleteFunc(q.queues, func(_ resourceName, of *resourceQueue) bool { return of.kept == 0 })
	}
}

// rollback is called instead: the rows are as they were before.
func (q *resourceQueues) rollback() {
	for _, c := range q.changed {
		q.kept += c.was.kept - c.now.kept
		*c.now = c.was
	}
	clear(q.changed)
	q.changed = q.changed[:0]
	q.freed = q.freed[:0]
	q.at = 0
	q.ended = [2][]int64{q.ended[0][:0], q.ended[1][:0]}
	q.coming = q.coming[:0]
}

// free has the commit look whether the next may have a resource.
func (q *resourceQueues) free(name resourceName, of *resourceQueue, at int64) {
	q.at = max(q.at, at)
	if !of.freed {
		of.freed = true
		q.freed = append(q.freed, name)
	}
}

// end has the claims of a task deleted that are found by their names, or those that are not.
func (q *resourceQueues) end(task, byName int64) {
	if ended := q.ended[byName]; len(ended) == 0 || ended[len(ended)-1] != task {
		q.ended[byName] = append(ended, task)
	}
}

// hold has one that comes hold the resource at once.
func (q *resourceQueue) hold(c *newClaim) {
	q.holders++
	q.holder = c.place
	q.mode = c.mode
	q.keptHolder = 0
	if !c.byName {
		q.keptHolder = c.task
	}
}

// keepsNext says that the next that comes and waits will be among the waiters that are kept.
func (q *resourceQueue) keepsNext() bool {
	return q.last == q.holder || q.all && len(q.waiters) < waitersKept
}

// join has a claim wait behind all others.
func (q *resourceQueue) join(c *newClaim) {
	keeps := q.keepsNext()
	if q.last == q.holder { // nobody else waits
		q.waiters = nil
		q.modes = nil
	}
	if q.all = keeps; keeps {
		q.waiters = append(q.waiters, waiter{place: c.place, task: c.task, kept: !c.byName})
		q.modes = append(q.modes, c.mode)
	}
}

// leave takes a waiter out, if it is among those that are kept.
func (q *resourceQueue) leave(place int64) {
	if i := slices.IndexFunc(q.waiters, func(o waiter) bool { return o.place == place }); i >= 0 {
		q.waiters = slices.Concat(q.waiters[:i], q.waiters[i+1:])
		q.modes = slices.Concat(q.modes[:i], q.modes[i+1:])
	}
}

// grant gives the resource to the first n that wait.
func (q *resourceQueue) grant(n int) {
	last := q.waiters[n-1]
	q.holders += int64(n)
	q.holder = last.place
	q.mode = q.modes[n-1]
	q.keptHolder = 0
	if last.kept {
		q.keptHolder = last.task
	}
	q.waiters = q.waiters[n:]
	q.modes = q.modes[n:]
}

// keptClaims are the committed claims that are not found by their names, for those who read:
// by their tasks they find the rows.
type keptClaims struct {
	mu sync.RWMutex
	of map[resourceName]keptQueue
}

// keptQueue are those of one name; some of the waiters may be found by it.
type keptQueue struct {
	holder  int64 // the order key of its task; 0 for none
	waiters []waiter
}

// update takes up what a commit has changed.
func (k *keptClaims) update(changed []changedQueue) {
	if len(changed) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range changed {
		name, is := changed[i].name, changed[i].now
		switch {
		case is.kept > 0:
			if k.of == nil {
				k.of = map[resourceName]keptQueue{}
			}
			k.of[name] = keptQueue{is.keptHolder, is.waiters}
		case changed[i].was.kept > 0:
			delete(k.of, name)
		}
	}
}

// claims are the order keys of the tasks that hold a name or wait for it by claims that are not found by it.
func (k *keptClaims) claims(name resourceName) (tasks []int64) {
	k.mu.RLock()
	of := k.of[name]
	k.mu.RUnlock()
	if of.holder != 0 {
		tasks = append(tasks, of.holder)
	}
	for _, o := range of.waiters {
		if o.kept {
			tasks = append(tasks, o.task)
		}
	}
	return tasks
}

// owners are those who have a name.
func (k *keptClaims) owners(name string) (owners []string) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for n := range k.of {
		if n.name == name {
			owners = append(owners, n.owner)
		}
	}
	return owners
}

// names are those of an owner, or of all, that come after one in the order of lists.
func (k *keptClaims) names(all bool, owner string, after resourceName) (names []resourceName) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for n := range k.of {
		if (all || n.owner == owner) && n.compare(after) > 0 {
			names = append(names, n)
		}
	}
	return names
}
