package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// publishTogether executes tasks whose starts are all queued before any is published.
func publishTogether(t *testing.T, f *fleet, tasks ...sdk.Task) (all []*testAttempt) {
	t.Helper()
	f.mu.Lock()
	f.starts.pausedUntil = time.Now().Add(time.Hour)
	f.mu.Unlock()
	for i, task := range tasks { // one after the other: a suspect divides those before it from those behind
		all = append(all, execute(t, f, task))
		queuetest.Eventually(t, "it is queued", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.starts.toPublish) == i+1 })
	}
	f.mu.Lock()
	f.starts.pausedUntil = time.Time{}
	f.starts.wakeLoop()
	f.mu.Unlock()
	return all
}

// What waits at once goes in messages of many. Workers with little room take what fits, and
// what they give back runs elsewhere; each runs once.
func TestStartsShareMessages(t *testing.T) { queuetest.OnEachBroker(t, startsShareMessages) }

func startsShareMessages(t *testing.T, s queuetest.Server) {
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "1m"})
	var tasks []sdk.Task
	for i := range wire.MaxStarts + 10 {
		tasks = append(tasks, newTask("gate", fmt.Sprintf(`"%d"`, i)))
	}
	tasks[5].Suspect = true // goes alone
	all := publishTogether(t, f, tasks...)
	queuetest.Eventually(t, "three messages and the suspect's", func() bool { return pending(t, f) == 4 })
	g := queuetest.NewGates()
	for i := range 3 {
		gateWorker(t, g, worker.Options{Name: fmt.Sprint("w", i), URL: s.URL(), Queue: s.Queue()})
	}
	for range 30 { // as many as the slots
		<-g.Began
	}
	for i := range all {
		g.Release(fmt.Sprint(i))
	}
	for i, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
		if n := g.Count(fmt.Sprint(i)); n != 1 {
			t.Errorf("%d ran %d times", i, n)
		}
	}
	queuetest.Eventually(t, "nothing is left", func() bool { return pending(t, f) == 0 })
}

// Of a message that a worker accepted and died with, each start is published again.
func TestMessageLostWithItsWorker(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "3s"})
	all := publishTogether(t, f, newTask("quick", `1`), newTask("quick", `2`), newTask("quick", `3`))
	queuetest.Eventually(t, "one message", func() bool { return pending(t, f) == 1 })
	st, err := jetStream(t, f).Stream(t.Context(), subjectsOf(f).Stream())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
	if n := f.counters.republished.Load(); n != 3 {
		t.Errorf("%d starts were published again", n)
	}
}

// One of several starts in a message is withdrawn alone: the others run. When all are, the
// message is taken out of the broker.
func TestWithdrawFromMessage(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	g := queuetest.NewGates()
	g.Release("runs")
	all := publishTogether(t, f, newTask("gate", `"not"`), newTask("gate", `"runs"`))
	queuetest.Eventually(t, "a message", func() bool { return pending(t, f) == 1 })
	none := publishTogether(t, f, newTask("gate", `"not"`), newTask("gate", `"not"`))
	queuetest.Eventually(t, "two messages", func() bool { return pending(t, f) == 2 })
	for _, a := range []*testAttempt{all[0], none[0], none[1]} {
		a.cancel(sdk.ErrCancel)
		a.wait(t, sdk.OutcomeReleased)
	}
	queuetest.Eventually(t, "the message of nothing is gone", func() bool { return pending(t, f) == 1 })
	gateWorker(t, g, worker.Options{URL: brokerURL(t, f)})
	all[1].wait(t, sdk.OutcomeSucceeded)
	if n := g.Count("not"); n > 0 {
		t.Errorf("what was withdrawn ran %d times", n)
	}
}

// A message that the broker never takes for its size is divided.
func TestMessageTooLargeForItsStream(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "quick")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded) // the stream is there
	st, err := jetStream(t, f).Stream(t.Context(), subjectsOf(f).Stream())
	if err != nil {
		t.Fatal(err)
	}
	c := st.CachedInfo().Config
	c.MaxMsgSize = 200
	if _, err := jetStream(t, f).UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	for _, w := range f.workers {
		w.info.Starts = wire.MaxStarts
	}
	f.mu.Unlock()
	for _, a := range publishTogether(t, f, newTask("quick", `1`), newTask("quick", `2`), newTask("quick", `3`)) {
		a.wait(t, sdk.OutcomeSucceeded)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.starts.joinedBytes >= maxJoined {
		t.Error("nothing was learned of it")
	}
}

// A message has no more starts than each worker takes, and few where several workers are to get
// some. While one of an earlier version is here each goes alone, also what was published before.
func TestStartsPerMessage(t *testing.T) {
	f := bareFleet()
	f.starts.init(f)
	lane := wire.Lane{Route: wire.AnyRoute, Type: "quick"}
	check := func(queued, want int) {
		t.Helper()
		if n := f.starts.startsPerMessage(lane, queued); n != want {
			t.Errorf("%d queued, %d workers: %d to a message, want %d", queued, len(f.workers), n, want)
		}
	}
	check(1000, wire.MaxStarts)
	f.join("other", "something")
	check(1000, wire.MaxStarts)
	f.join("a", "quick").info.Starts = 12
	check(1000, 12)
	f.join("b", "quick").info.Starts = 50
	check(1000, 12)
	check(50, 6)
	check(2, 1)
	first, second := newAttempt(wire.ActionExecute, &sdk.Task{Type: "quick", Token: sdk.Token{1}}), newAttempt(wire.ActionExecute, &sdk.Task{Type: "quick", Token: sdk.Token{2}})
	m := &startMessage{attempts: []*attempt{first, second}}
	first.message, second.message = m, m
	f.attempts[first.token], f.attempts[second.token] = first, second
	for w, info := range map[string]wire.WorkerInfo{"new": {Starts: 1}, "old": {}} {
		old := f.join(w, "quick")
		f.noteHeartbeat(old, wire.Heartbeat{Info: &wire.WorkerInfo{Types: []sdk.TypeInfo{{Name: "quick"}}, Starts: info.Starts}})
	}
	if len(f.starts.toPublish) != 2 || first.message != nil || second.message != nil {
		t.Errorf("%d are published again", len(f.starts.toPublish))
	}
	check(1000, 1)
}
