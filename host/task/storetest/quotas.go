package storetest

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// RunQuotas holds a store against task.QuotaStore.
func RunQuotas[S interface {
	task.Store
	task.QuotaStore
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"a quota of waiting tasks is exact", quotaWaiting},
		{"a quota of waiting tasks holds on every way into the queue", quotaEveryWay},
		{"a quota of attempts", quotaRunning},
		{"a quota of attempts holds new tasks back", quotaHoldsBack},
		{"quotas change while attempts run", quotasChange},
		{"a quota of bytes", quotaBytes},
		{"all that is kept counts until it goes", quotaCounts},
		{"bytes are counted from what is there", quotaCountsBefore},
		{"bytes are counted while tasks come and go", quotaCountsUnderLoad},
		{"no quota is for the host's own work", quotaOwnWork},
	})
}

func (s *suite) quotas(q task.Quotas) {
	s.Helper()
	s.must(port[task.QuotaStore](s).SetQuotas(s.ctx, q))
}

// each is a quota that every owner has.
func each(q task.Quota) task.Quotas { return task.Quotas{Default: q} }

func (s *suite) use(owner string) task.OwnerUse {
	s.Helper()
	all, err := port[task.QuotaStore](s).OwnerUse(s.ctx, owner)
	s.must(err)
	if len(all) != 1 || all[0].Owner != owner {
		s.Fatalf("the use of %s is %+v", owner, all)
	}
	return all[0]
}

func (s *suite) wantUse(owner string, waiting, running int64) {
	s.Helper()
	if u := s.use(owner); u.Waiting != waiting || u.Running != running {
		s.Fatalf("of %s %d wait and %d run, want %d and %d", owner, u.Waiting, u.Running, waiting, running)
	}
}

// of makes a task of an owner that is not in the store yet.
func (s *suite) of(owner string, spec task.Spec) *task.Task {
	s.Helper()
	t := s.make(spec)
	t.Owner = owner
	return t
}

func (s *suite) refusedInsert(ts ...*task.Task) error {
	s.Helper()
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: ts})
	return err
}

func quotaWaiting(s *suite) {
	const limit, clients = 20, 50
	s.quotas(task.Quotas{Default: task.Quota{Waiting: limit}, Owners: map[string]task.Quota{"bob": {Waiting: task.Unlimited}, "eve": {Waiting: 1}}})
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for i := range clients { // of two types, singly and in twos
		ts := []*task.Task{s.make(task.Spec{Type: []string{"a", "b"}[i%2]})}
		if i%3 == 0 {
			ts = append(ts, s.make(task.Spec{Type: "b", RunAt: start.Add(time.Hour)}))
		}
		wg.Go(func() {
			_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: ts})
			if err == nil {
				accepted.Add(int64(len(ts)))
				return
			}
			if task.CodeOf(err) != task.CodeQuotaExceeded {
				s.Errorf("refused by %v", err)
			}
		})
	}
	wg.Wait()
	for s.use("ann").Waiting < limit { // the last that had no room were two
		s.put(s.make(task.Spec{}))
		accepted.Add(1)
	}
	if accepted.Load() != limit {
		s.Fatalf("%d were accepted, want %d", accepted.Load(), limit)
	}
	s.wantUse("ann", limit, 0)
	s.wantCode(s.refusedInsert(s.make(task.Spec{})), task.CodeQuotaExceeded)
	// Others have their own.
	for range limit + 1 {
		s.put(s.of("bob", task.Spec{}))
	}
	s.put(s.of("eve", task.Spec{}))
	s.wantCode(s.refusedInsert(s.of("eve", task.Spec{})), task.CodeQuotaExceeded)
	s.wantCode(s.refusedInsert(s.of("bob", task.Spec{}), s.of("eve", task.Spec{})), task.CodeQuotaExceeded) // all or none
	s.wantUse("bob", limit+1, 0)
	s.reopen()
	s.wantUse("ann", limit, 0)
	s.put(s.make(task.Spec{})) // no quota is in force until one is set
	s.quotas(each(task.Quota{Waiting: limit}))
	s.wantCode(s.refusedInsert(s.make(task.Spec{})), task.CodeQuotaExceeded)
}

func quotaEveryWay(s *suite) {
	s.quotas(each(task.Quota{Waiting: 3}))
	running := s.run(task.Spec{Key: "k"})
	failed := s.run(task.Spec{})
	s.settle(failed, task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
	s.insert(task.Spec{}, task.Spec{Key: "r"}, task.Spec{RunAt: start.Add(time.Hour)})
	refused := task.CodeQuotaExceeded
	c, err := task.Retry(new(s.get(failed.ID)), "ann", start)
	s.must(err)
	s.wantCode(s.handle().Apply(s.ctx, []task.Change{c})[0], refused)
	if p, ok := s.handle().(task.TransactionStore); ok {
		s.wantCode(p.Commit(s.ctx, task.Transaction{Changes: []task.Change{c}}), refused)
		s.wantCode(p.Commit(s.ctx, task.Transaction{Inserts: []*task.Task{s.make(task.Spec{})}}), refused)
	}
	if p, ok := s.handle().(group.Store); ok {
		g, err := group.New(id(), "ann", group.Spec{}, start)
		s.must(err)
		_, err = p.CreateGroup(s.ctx, &g, task.Submission{Tasks: []*task.Task{s.make(task.Spec{Group: g.ID})}})
		s.wantCode(err, refused)
	}
	if _, ok := s.handle().(task.ChildStore); ok {
		s.wantCode(s.refusedInsert(s.make(task.Spec{Parent: running.ID, Spawner: running.Token})), refused)
	}
	// A task that takes the place of another that waits brings none, one that has begun waits not.
	s.put(s.make(task.Spec{Key: "r", OnConflict: task.ConflictReplace}))
	s.put(s.make(task.Spec{Key: "k", OnConflict: task.ConflictExisting}))
	begun := s.make(task.Spec{})
	*begun = task.Begin(begun, "local", newToken(), false, start).Task
	s.put(begun)
	s.wantUse("ann", 3, 2)
	// What comes back from an attempt is never refused.
	s.settle(running, task.Outcome{Kind: task.OutcomeFailed})
	s.wantUse("ann", 4, 1)
	s.wantCode(s.refusedInsert(s.make(task.Spec{})), refused)
	s.wantClaimed(10, 2) // what has no time to wait for
	s.wantUse("ann", 2, 3)
	s.must(s.handle().Apply(s.ctx, []task.Change{c})[0])
	s.wantCode(s.refusedInsert(s.make(task.Spec{})), refused)
}

func quotaRunning(s *suite) {
	s.quotas(task.Quotas{Default: task.Quota{Running: 2}, Owners: map[string]task.Quota{"eve": {Running: 3}}})
	for _, owner := range []string{"ann", "bob", "eve"} {
		for i := range 6 {
			s.put(s.of(owner, task.Spec{Type: []string{"a", "limited"}[i%2]}))
		}
	}
	half := s.claimAs(task.Claim{Executor: "x", Shares: []task.Share{{Lanes: s.lanes(), Max: 3}}, Max: 3, Deferred: true})
	rest := s.claim(100)
	byOwner := claimsOf(append(half, rest...))
	if byOwner["ann"] != 2 || byOwner["bob"] != 2 || byOwner["eve"] != 3 {
		s.Fatalf("claimed %v", byOwner)
	}
	if s.ready(s.lanes()) != 0 {
		s.Fatal("what may not begin is said to be ready")
	}
	s.wantUse("eve", 3, 3)
	s.wantClaimed(10, 0)
	s.reopen()
	s.quotas(each(task.Quota{Running: 2}))
	s.wantClaimed(10, 0)
	// However an attempt ends, the next of its owner may begin.
	of := func(owner string) (running []task.Task) {
		for _, t := range append(half, rest...) {
			if t.Owner == owner {
				running = append(running, t)
			}
		}
		return running
	}
	ann := of("ann")
	s.settle(ann[0], task.Outcome{Kind: task.OutcomeReleased})
	if got := s.wantClaimed(10, 1); got[0].Owner != "ann" {
		s.Fatalf("claimed a task of %s", got[0].Owner)
	}
	s.settle(of("eve")[0], task.Outcome{Kind: task.OutcomeReleased})
	s.wantClaimed(10, 0) // she has two still
	if l, ok := s.handle().(task.LimitStore); ok {
		b := l.StartBlock("a", "ann", func(string) (string, bool) { return "", true })
		if want := `the quota of owner "ann" is reached: 2 attempts at once`; b.Reason("a") != want || !b.Any() {
			s.Fatalf("kept by %q, want %q", b.Reason("a"), want)
		}
		if b := l.StartBlock("a", "nobody", func(string) (string, bool) { return "", true }); b.Any() {
			s.Fatalf("kept by %q", b.Reason("a"))
		}
	}
}

func quotaHoldsBack(s *suite) {
	s.quotas(each(task.Quota{Running: 2, Waiting: 2}))
	begun := func(owner string) *task.Task {
		t := s.of(owner, task.Spec{})
		*t = task.Begin(t, "local", newToken(), false, start).Task
		return t
	}
	ts := []*task.Task{begun("ann"), begun("ann"), begun("ann"), begun("bob")}
	s.put(ts...)
	if ts[2].State != task.Pending || ts[2].Waiting != task.WaitQueued || !ts[2].Token.IsZero() || ts[1].State != task.Running || ts[3].State != task.Running {
		s.Fatalf("the third is %s, others %s and %s", ts[2].State, ts[1].State, ts[3].State)
	}
	s.wantUse("ann", 1, 2)
	s.put(begun("ann"))
	s.wantCode(s.refusedInsert(begun("ann")), task.CodeQuotaExceeded) // it would wait, too
	s.succeed(*ts[0])
	s.quotas(each(task.Quota{Running: 2, Waiting: 3}))
	late := begun("ann")
	s.put(late) // those that wait came first
	if late.State != task.Pending {
		s.Fatalf("it is %s", late.State)
	}
}

func quotasChange(s *suite) {
	for range 6 {
		s.put(s.make(task.Spec{}))
	}
	running := s.wantClaimed(4, 4)
	s.quotas(each(task.Quota{Running: 2}))
	s.wantClaimed(10, 0)
	for _, t := range running[:2] {
		s.succeed(t)
	}
	s.wantClaimed(10, 0)
	s.quotas(each(task.Quota{Running: 3}))
	s.wantClaimed(10, 1)
	s.quotas(task.Quotas{Default: task.Quota{Running: 1}, Owners: map[string]task.Quota{"ann": {Running: task.Unlimited}}})
	s.wantClaimed(10, 1)
	s.quotas(task.Quotas{})
	if u := s.use("ann"); u.Limit != (task.Quota{}) || u.Running != 4 {
		s.Fatalf("the use is %+v", u)
	}
}

// kept is how many bytes of an owner are counted, which must be so also if they are counted anew.
func (s *suite) wantBytes(owner string, want int) {
	s.Helper()
	limit := each(task.Quota{Bytes: 1000})
	for range 2 {
		if u := s.use(owner); !u.BytesCounted || u.Bytes != int64(want) {
			s.Fatalf("of %s %d bytes are kept, want %d", owner, u.Bytes, want)
		}
		s.quotas(task.Quotas{})
		s.quotas(limit)
	}
}

func quotaBytes(s *suite) {
	s.quotas(task.Quotas{Default: task.Quota{Bytes: 1000}, Owners: map[string]task.Quota{"bob": {Bytes: task.Unlimited}}})
	text := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
	s.wantCode(s.refusedInsert(s.make(task.Spec{Input: text(1001)})), task.CodeTooLarge) // it will never fit
	ts := s.insert(task.Spec{Input: text(500)}, task.Spec{Input: text(450), Labels: map[string]string{"a": "b"}})
	s.wantBytes("ann", 500+450+len(`{"a":"b"}`))
	s.quotas(task.Quotas{Default: task.Quota{Bytes: 1000}, Owners: map[string]task.Quota{"bob": {Bytes: task.Unlimited}}})
	s.wantCode(s.refusedInsert(s.make(task.Spec{Input: text(42)})), task.CodeQuotaExceeded)
	s.wantCode(s.refusedInsert(s.make(task.Spec{Input: text(30)}), s.make(task.Spec{Input: text(30)})), task.CodeQuotaExceeded) // all or none
	s.put(s.make(task.Spec{}), s.of("bob", task.Spec{Input: text(2000)}))
	for _, t := range s.wantClaimed(10, 4) { // their ends are never refused
		s.settle(t, task.Outcome{Kind: task.OutcomeSucceeded, Result: text(2000), ResultType: "application/json"})
	}
	s.wantCode(s.refusedInsert(s.make(task.Spec{})), task.CodeQuotaExceeded)
	for _, t := range ts {
		s.must(s.handle().Delete(s.ctx, mine, t.ID))
	}
	s.wantBytes("ann", 2000)
	s.wantBytes("bob", 4000)
	gone, _, err := s.handle().DeleteExpired(s.ctx, start.Add(1000*time.Hour), 100)
	s.must(err)
	if len(gone) != 2 {
		s.Fatalf("%d were retired, want 2", len(gone))
	}
	s.wantBytes("ann", 0)
	s.put(s.make(task.Spec{Input: text(1000)}))
}

// quotaCounts: each thing that is kept of a task counts as long as it is there, over a restart.
func quotaCounts(s *suite) {
	s.quotas(each(task.Quota{Bytes: 1000}))
	want := 0
	step := func(what string, more int) {
		s.Helper()
		want += more
		s.Log(what)
		s.reopen()
		s.quotas(each(task.Quota{Bytes: 1000}))
		s.wantBytes("ann", want)
	}
	t := s.run(task.Spec{Input: []byte(`{"n":1}`)})
	step("input", 7)
	saved, err := task.Checkpointed(&t, []byte("0123456789"), start)
	s.apply(saved, err)
	t = s.get(t.ID)
	step("checkpoint", 10)
	saved, err = task.Checkpointed(&t, []byte("012345"), start)
	s.apply(saved, err)
	t = s.get(t.ID)
	step("a smaller checkpoint", -4)
	line := task.LogLine{Seq: 1, At: start, Attempt: 1, Level: "info", Message: "héllo", Fields: map[string]string{"a": "b"}}
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, []task.LogLine{line}))
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, []task.LogLine{line})) // it is there already
	step("a line", 6+len(`{"a":"b"}`))
	if _, ok := s.handle().(task.UploadStore); ok {
		s.must(s.upload(t, task.Upload{ContentType: "text/plain", Data: bytes.Repeat([]byte{1}, 30)}))
		step("upload", 30)
		s.must(s.upload(t, task.Upload{ContentType: "text/plain", Data: bytes.Repeat([]byte{1}, 20)}))
		step("another in its place", -10)
	}
	s.settle(t, task.Outcome{Kind: task.OutcomeFailed, Message: "went wrong", Details: map[string]any{"why": 1}})
	if want = int(s.use("ann").Bytes); want != 7+6+15+len("went wrong")+len(`{"why":1}`) {
		s.Fatalf("%d bytes are kept", want)
	}
	step("failed, and the upload is gone", 0)
	n, _, err := s.handle().Promote(s.ctx, start.Add(time.Hour), 10)
	s.must(err)
	if n != 1 {
		s.Fatalf("%d are due, want the one that is retried", n)
	}
	t = s.wantClaimed(1, 1)[0]
	s.succeed(t)
	want = int(s.use("ann").Bytes)
	step("succeeded", 0)
	s.must(s.handle().Delete(s.ctx, mine, t.ID))
	want = 0
	step("deleted", 0)
}

func quotaCountsBefore(s *suite) {
	s.insert(task.Spec{Input: []byte(`12345`)}, task.Spec{Input: []byte(`123`), Labels: map[string]string{"a": "b"}})
	s.put(s.of("bob", task.Spec{Input: []byte(`12`)}))
	if u := s.use("ann"); u.BytesCounted || u.Bytes != 0 {
		s.Fatalf("counted without a quota: %+v", u)
	}
	s.quotas(task.Quotas{Owners: map[string]task.Quota{"eve": {Bytes: 1, Waiting: 2}}})
	s.wantBytes("ann", 8+len(`{"a":"b"}`))
	s.wantBytes("bob", 2)
	s.quotas(task.Quotas{Owners: map[string]task.Quota{"eve": {Bytes: 1, Waiting: 2}}})
	all, err := port[task.QuotaStore](s).OwnerUse(s.ctx, "")
	s.must(err)
	want := []task.OwnerUse{{Owner: "ann", Waiting: 2, Bytes: 17, BytesCounted: true}, {Owner: "bob", Waiting: 1, Bytes: 2, BytesCounted: true},
		{Owner: "eve", Limit: task.Quota{Waiting: 2, Bytes: 1}, BytesCounted: true}}
	if !slices.Equal(all, want) {
		s.Fatalf("owners use %+v, want %+v", all, want)
	}
}

func quotaCountsUnderLoad(s *suite) {
	many := make([]*task.Task, 5000) // to add them up takes a while
	for i := range many {
		many[i] = s.make(task.Spec{Input: []byte(`1`)})
	}
	s.put(many...)
	limit := each(task.Quota{Bytes: task.MaxQuotaBytes})
	for range 5 {
		var wg sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
						if !s.comeAndGo(i%2 == 0) {
							return
						}
					}
				}
			})
		}
		for range 3 {
			s.quotas(task.Quotas{})
			s.quotas(limit)
		}
		close(done)
		wg.Wait()
		counted := s.use("ann").Bytes
		s.quotas(task.Quotas{})
		s.quotas(limit)
		if n := s.use("ann").Bytes; n != counted {
			s.Fatalf("%d bytes were counted, and there are %d", counted, n)
		}
	}
}

// comeAndGo inserts a task, has it succeed and deletes it, or leaves it.
func (s *suite) comeAndGo(leave bool) bool {
	t := s.make(task.Spec{Input: []byte(`"0123456789"`)})
	*t = task.Begin(t, "local", newToken(), false, start).Task
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{t}})
	if err == nil {
		var c task.Change
		c, err = task.Settle(t, &task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte(`1`), ResultType: "application/json"}, task.Backoff{}, start.Add(time.Second), 0)
		if err == nil {
			err = s.handle().Apply(s.ctx, []task.Change{c})[0]
		}
	}
	if err == nil && !leave {
		err = s.handle().Delete(s.ctx, all, t.ID)
	}
	if err != nil {
		s.Errorf("a task that comes and goes: %v", err)
	}
	return err == nil
}

func quotaOwnWork(s *suite) {
	s.quotas(each(task.Quota{Waiting: 1, Running: 1, Bytes: 20}))
	s.put(s.make(task.Spec{Input: []byte(`"0123456789"`)}))
	own := func() *task.Task {
		return s.make(task.Spec{Type: task.OwnTypes + "action", Input: []byte(`"0123456789"`)})
	}
	s.put(own(), own(), own())
	s.wantUse("ann", 1, 0)
	s.wantClaimed(10, 4)
	s.wantUse("ann", 0, 1)
	s.wantBytes("ann", 12)
}
