package celery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/sdk"
)

// A worker of an app that knows nothing of taskhost gives results, failures with their type
// and traceback, and runs what it retries by itself under the one attempt.
func TestTasksOfAnApp(t *testing.T) {
	r := newRig(t, false)
	if o := r.want(r.start("add", 2, 3), sdk.OutcomeSucceeded, ""); string(o.Result.Data) != "5" || o.Result.ContentType != sdk.ContentJSON {
		t.Errorf("the result is %s", o.Result.Data)
	}
	o := r.want(r.start("fail", "no such thing"), sdk.OutcomeFailed, sdk.CodeScriptFailed)
	if o.Message != "LookupError: no such thing" || o.Details["type"] != "LookupError" || !strings.Contains(o.Details["traceback"], "proj.py") {
		t.Errorf("the failure is %q with %v", o.Message, o.Details)
	}
	c := r.start("flaky", 2)
	o = r.want(c, sdk.OutcomeSucceeded, "")
	if want := fmt.Sprintf(`{"retries": 2, "task": "%s"}`, c.task.ID); string(o.Result.Data) != want {
		t.Errorf("after its own retries the result is %s, want %s", o.Result.Data, want)
	}
	// The word of a retry may come after the end, of another process.
	if len(c.lines) == 0 || !strings.Contains(c.lines[0], "not yet") || c.starts != 1 {
		t.Errorf("its own retries are told by %q; it started %d times", c.lines, c.starts)
	}
	c = r.start("context")
	if o := r.want(c, sdk.OutcomeSucceeded, ""); string(o.Result.Data) != fmt.Sprintf(`["%s", 1, "%s", 7, null, [null, null]]`, c.task.ID, c.task.Trace["traceparent"]) {
		t.Errorf("the task sees %s", o.Result.Data)
	}
	r.want(r.start("die"), sdk.OutcomeLost, "")
	if o := r.want(r.start("nan"), sdk.OutcomeFailed, sdk.CodeProtocolError); !o.Permanent {
		t.Errorf("a result that is no JSON: %+v", o)
	}
	r.want(r.start("add", "x", 1), sdk.OutcomeFailed, sdk.CodeScriptFailed)
	info, err := r.exec.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(info.Nodes, func(n sdk.Node) bool { return n.Name == r.worker.Name })
	if i < 0 || len(info.Nodes[i].Types) != len(tasks) || !strings.Contains(info.Nodes[i].Version, "py-celery") || !info.StartUnknown {
		t.Errorf("the worker is shown as %+v", info.Nodes)
	}
	r.deleteReplies()
	if o := r.want(r.start("add", 2, 3), sdk.OutcomeSucceeded, ""); string(o.Result.Data) != "5" {
		t.Errorf("once the queue for answers is made anew the result is %s", o.Result.Data)
	}
}

// deleteReplies deletes the queue for answers, as an operator may, and waits until all is made
// anew.
func (r *rig) deleteReplies() {
	r.t.Helper()
	connections := func() int {
		r.exec.mu.Lock()
		defer r.exec.mu.Unlock()
		if r.exec.brokerAway != "" {
			return 0
		}
		return r.exec.connection
	}
	before := connections()
	if err := r.exec.link.connection.Do(r.t.Context(), func(ch *amqp091.Channel) error {
		_, err := ch.QueueDelete(r.exec.link.replyQueue(), false, false, false)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("there is another connection", func() bool { return connections() > before })
}

// A worker that tells when it starts has the attempt recorded as started there, tells how far
// it is, and ends it when the task is canceled or its time is up.
func TestProgressAndRevoke(t *testing.T) {
	r := newRig(t, true)
	for _, cause := range []error{sdk.ErrCancel, sdk.ErrTimeout} {
		c := r.start("slow", r.path())
		r.eventually("it started", c.began)
		r.eventually("it tells how far it is", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.progress) > 2
		})
		c.mu.Lock()
		if p := c.progress[1]; p.total != 1000 || p.done < 1 || p.message != "waiting" || c.node != r.worker.Name {
			t.Errorf("on %s: %+v", c.node, p)
		}
		c.mu.Unlock()
		c.cancel(cause)
		o := r.wait(c)
		want := map[error]string{sdk.ErrCancel: "canceled", sdk.ErrTimeout: "failed"}[cause]
		if o.Kind.String() != want || strings.Contains(o.Message, "no worker confirmed") {
			t.Errorf("after %v: %s %s", cause, o.Kind, o.Message)
		}
	}
	// One that no worker has begun is discarded: both processes are busy.
	first, second, path := r.start("slow", r.path()), r.start("slow", r.path()), r.path()
	r.eventually("both started", func() bool { return first.began() && second.began() })
	c := r.start("append", path, "never")
	r.awaitPublished(c)
	c.cancel(sdk.ErrCancel)
	r.want(c, sdk.OutcomeCanceled, "")
	first.cancel(sdk.ErrCancel)
	second.cancel(sdk.ErrCancel)
	r.want(first, sdk.OutcomeCanceled, "")
	r.want(second, sdk.OutcomeCanceled, "")
	r.want(r.start("append", path, "after"), sdk.OutcomeSucceeded, "")
	if lines := r.lines(path); !slices.Equal(lines, []string{"after"}) {
		t.Errorf("ran: %q", lines)
	}
}

// Of what workers say nothing, the timeout decides; a message that is found later is
// discarded.
func TestSilence(t *testing.T) {
	r := newRig(t, false)
	path, trace := r.path(), r.path()
	first, second := r.start("quiet", path), r.start("quiet", path)
	r.awaitPublished(first, second) // so that both processes are busy
	r.startFor(time.Second, "append", trace, "never")
	c := r.startFor(time.Second, "append", trace, "never")
	if o := r.want(c, sdk.OutcomeFailed, sdk.CodeTimeout); !strings.Contains(o.Message, "task_track_started") || c.began() {
		t.Errorf("%s", o.Message)
	}
	r.file(path)
	r.want(first, sdk.OutcomeSucceeded, "")
	r.want(second, sdk.OutcomeSucceeded, "")
	r.want(r.start("append", trace, "after"), sdk.OutcomeSucceeded, "")
	if lines := r.lines(trace); !slices.Equal(lines, []string{"after"}) {
		t.Errorf("ran: %q", lines)
	}
}

// What runs when the host ends is joined by the next, with answers that came in between; what
// was never published is given back.
func TestHostIsStartedAnew(t *testing.T) {
	for _, track := range []bool{true, false} {
		r := newRig(t, track)
		path, quick := r.path(), r.path()
		slow, quiet := r.start("slow", path), r.start("quiet", quick)
		r.awaitPublished(slow, quiet)
		if track {
			r.eventually("both started", func() bool { return slow.began() && quiet.began() })
		}
		if err := r.exec.Close(); err != nil {
			t.Fatal(err)
		}
		r.wait(slow)
		r.wait(quiet)
		r.file(quick) // ends while no host is there
		r.open()
		join := func(c *running) *running {
			again := c.task
			again.Rejoin = true
			again.Handle = c.handle
			return r.execute(again)
		}
		slow, quiet = join(slow), join(quiet)
		r.want(quiet, sdk.OutcomeSucceeded, "")
		r.exec.Settled(quiet.task.Token)
		r.file(path)
		if o := r.want(slow, sdk.OutcomeSucceeded, ""); string(o.Result.Data) != `"through"` {
			t.Errorf("the result is %s", o.Result.Data)
		}
		// Not acknowledged, it comes again; settled, it does not.
		if err := r.exec.Close(); err != nil {
			t.Fatal(err)
		}
		r.open()
		slow = join(slow)
		r.want(slow, sdk.OutcomeSucceeded, "")
		r.exec.Settled(slow.task.Token)
		never := slow.task
		never.Token[0] = 'y'
		never.Rejoin = true
		never.Handle = nil
		r.want(r.execute(never), sdk.OutcomeReleased, "")
		r.worker.Kill()
	}
}

// What a killed worker ran is lost, and soon; what it had not begun is run by its successor.
func TestWorkerIsKilled(t *testing.T) {
	r := newRig(t, true)
	path, trace := r.path(), r.path()
	first, second := r.start("slow", path), r.start("slow", path)
	r.eventually("both started", func() bool { return first.began() && second.began() })
	waiting := r.start("append", trace, "once")
	r.awaitPublished(waiting)
	r.worker.Kill()
	r.want(first, sdk.OutcomeLost, "")
	r.want(second, sdk.OutcomeLost, "")
	r.eventually("the types are not served", func() bool { return !r.served() })
	r.worker.Start()
	r.awaitServed()
	r.want(waiting, sdk.OutcomeSucceeded, "")
	if lines := r.lines(trace); !slices.Equal(lines, []string{"once"}) {
		t.Errorf("ran: %q", lines)
	}
	// So it is where the host was away meanwhile.
	third := r.start("slow", path)
	r.eventually("it started", third.began)
	if err := r.exec.Close(); err != nil {
		t.Fatal(err)
	}
	r.wait(third)
	r.worker.Kill()
	r.open()
	third.task.Rejoin = true
	third.task.Handle = third.handle
	r.want(r.execute(third.task), sdk.OutcomeLost, "")
	r.worker.Start()
	r.awaitServed()
	// One that is started anew at once is known by its process.
	third = r.start("slow", path)
	r.eventually("it started", third.began)
	r.worker.Kill()
	r.worker.Start()
	if o := r.want(third, sdk.OutcomeLost, ""); o.Message == "" {
		t.Error("nothing is said of it")
	}
}

// Through a killed broker every attempt comes to an end, and what was answered is not lost.
func TestBrokerIsKilled(t *testing.T) {
	r := newRig(t, true)
	r.broker.Settle()
	path := r.path()
	slow := r.start("slow", path)
	r.eventually("it started", slow.began)
	var all []*running
	trace := r.path()
	for i := range 200 {
		all = append(all, r.start("append", trace, fmt.Sprint(i)))
	}
	r.broker.Kill()
	r.eventually("the broker is missed", func() bool { return !r.served() })
	r.file(path)
	r.broker.Start(t)
	r.awaitServed()
	again := 0
	for _, c := range append(all, slow) {
		switch o := r.wait(c); o.Kind {
		case sdk.OutcomeSucceeded:
		case sdk.OutcomeReleased, sdk.OutcomeLost, sdk.OutcomeFailed: // as a host would, which tries again
			again++
			c.task.Token[0] = 'z'
			r.want(r.execute(c.task), sdk.OutcomeSucceeded, "")
		default:
			t.Errorf("%s: %s", o.Kind, o.Message)
		}
	}
	ran := map[string]bool{}
	for _, line := range r.lines(trace) {
		ran[line] = true
	}
	if len(ran) != len(all) {
		t.Errorf("%d of %d ran", len(ran), len(all))
	}
	t.Logf("%d attempts had to be made again", again)
}
