// Package storetest is the suite that every task.Store passes.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Open opens the store that is kept in dir, which may hold one from before. It
// fails the test if it can't. The suite closes what it opens if it has a Close method.
type Open func(t *testing.T, dir string) task.Store

// testCase is one test of a suite.
type testCase struct {
	name string
	test func(*suite)
}

// Run holds a store against all that task.Store promises. Each test has a store of its own.
func Run(t *testing.T, open Open) { run(t, open, cases()) }

// RunOnTwoHandles is Run for a store that several hosts can share: each test opens it
// twice, and speaks through one handle and the other in turn. What was written through
// the one must hold through the other at once.
func RunOnTwoHandles(t *testing.T, open Open) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) { runCase(t, open, 2, c) })
	}
}

func cases() []testCase {
	return []testCase{
		{"insert and get", insertAndGet},
		{"every field comes back", everyField},
		{"null inputs and results", nulls},
		{"inserted running", insertedRunning},
		{"batches are all or none", allOrNone},
		{"keys", keys},
		{"keys: the existing task", keyExisting},
		{"keys: a task replaces another", keyReplace},
		{"keys: who is replaced makes room", keyReplaceMakesRoom},
		{"keys: many at once", keyOfMany},
		{"idempotency", idempotency},
		{"queue limits are exact", queueLimit},
		{"lanes", lanes},
		{"empty lanes go", emptyLanes},
		{"many lanes come and go", manyLanes},
		{"empty lanes go while tasks come", lanesInUse},
		{"claim order", claimOrder},
		{"claims are on record", claimsAreOnRecord},
		{"retries come before the cursor", retriesFirst},
		{"claims across lanes merge", claimMerges},
		{"shares of a claim", claimShares},
		{"claims past a window", claimMany},
		{"canceled while waiting", canceledWaiting},
		{"suspects change lanes", suspects},
		{"dispatched", dispatched},
		{"settle every way", settleEveryWay},
		{"times that cannot be shown", oddTimes},
		{"conflicts", conflicts},
		{"changes fail alone", changesFailAlone},
		{"checkpoint and handle", checkpointAndHandle},
		{"retry by hand", retryByHand},
		{"progress", progress},
		{"promote", promote},
		{"overdue", overdue},
		{"in flight", inFlight},
		{"delete expired", deleteExpired},
		{"delete", deleteTask},
		{"scope", scope},
		{"by prefix", byPrefix},
		{"list pages", listPages},
		{"list order", listOrder},
		{"order keys", orderKeys},
		{"list filters", listFilters},
		{"list members", listMembers},
		{"list results", listResults},
		{"history", history},
		{"history of any life", historyOfAnyLife},
		{"logs", logs},
		{"reopen", reopen},
		{"ended context", endedContext},
		{"many at once", manyAtOnce},
		{"one change wins", oneChangeWins},
		{"due work is done once", dueOnce},
	}
}

// run runs each case on a store of its own.
func run(t *testing.T, open Open, cases []testCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { runCase(t, open, 1, c) })
	}
}

func runCase(t *testing.T, open Open, handles int, c testCase) {
	s := &suite{T: t, dir: t.TempDir(), open: open, ctx: t.Context(), handles: make([]task.Store, handles)}
	s.reopen()
	c.test(s)
}

// suite is one test's store.
type suite struct {
	*testing.T
	dir     string
	open    Open
	ctx     context.Context
	handles []task.Store // on the one store
	asked   atomic.Uint64
}

// handle is one handle on the store after the other.
func (s *suite) handle() task.Store { return s.handles[s.asked.Add(1)%uint64(len(s.handles))] }

// all is the scope of an admin, mine of the usual owner.
var (
	all  = task.Scope{All: true}
	mine = task.Scope{Owner: "ann"}
	// start is the time of the tests: what they do happens after it. Whole
	// microseconds, for that is what a store keeps.
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func (s *suite) reopen() {
	s.Helper()
	s.close()
	for i := range s.handles {
		s.handles[i] = s.open(s.T, s.dir)
	}
	s.Cleanup(s.close)
}

func (s *suite) close() {
	for i, h := range s.handles {
		if c, ok := h.(interface{ Close() error }); ok {
			if err := c.Close(); err != nil {
				s.Errorf("close: %v", err)
			}
		}
		s.handles[i] = nil
	}
}

func newToken() (tk task.Token) { _, _ = rand.Read(tk[:]); return tk }

// id is a new id, above all before it, as if each were made a millisecond later.
func id() (id task.ID) {
	_, _ = rand.Read(id[:])
	at := start.UnixMilli() + made.Add(1)
	for i := range 6 {
		id[i] = byte(at >> (40 - 8*i))
	}
	return id
}

// made counts the ids.
var made atomic.Int64

// make makes a task that is not in the store yet.
func (s *suite) make(spec task.Spec) *task.Task {
	s.Helper()
	if spec.Type == "" {
		spec.Type = "noop"
	}
	t, err := task.New(id(), "ann", spec, task.DefaultLimits(), start)
	s.must(err)
	return &t
}

// insert puts tasks into the store, by one submission each.
func (s *suite) insert(specs ...task.Spec) []task.Task {
	s.Helper()
	out := make([]task.Task, 0, len(specs))
	for _, spec := range specs {
		t := s.make(spec)
		s.put(t)
		out = append(out, *t)
	}
	return out
}

func (s *suite) put(ts ...*task.Task) {
	s.Helper()
	r, err := s.handle().Insert(s.ctx, task.Submission{Tasks: ts})
	s.must(err)
	if r.Replayed != nil {
		s.Fatalf("a submission without an idempotency key was taken for a replay")
	}
}

// lanes are the ids of all lanes.
func (s *suite) lanes() []task.LaneID {
	var ids []task.LaneID
	for _, l := range s.handle().Lanes(0) {
		ids = append(ids, l.ID)
	}
	return ids
}

func (s *suite) claim(limit int, lanes ...task.LaneID) []task.Task {
	s.Helper()
	if len(lanes) == 0 {
		lanes = s.lanes()
	}
	return s.claimAs(task.Claim{Executor: "local", Shares: []task.Share{{Lanes: lanes, Max: limit}}, Max: limit})
}

// claimAs makes a claim and gives the tasks that it began.
func (s *suite) claimAs(c task.Claim) []task.Task {
	s.Helper()
	c.Now, c.NewToken = start.Add(time.Second), newToken
	claimed, err := s.handle().Claim(s.ctx, c)
	s.must(err)
	return begun(claimed)
}

func begun(claimed []task.Claimed) []task.Task {
	var ts []task.Task
	for i := range claimed {
		ts = append(ts, claimed[i].Change.Task)
	}
	return ts
}

// run inserts a task and claims it.
func (s *suite) run(spec task.Spec) task.Task {
	s.Helper()
	t := s.insert(spec)[0]
	got := s.claim(1)
	if len(got) != 1 || got[0].ID != t.ID {
		s.Fatalf("claimed %d tasks, want the one that was inserted", len(got))
	}
	return got[0]
}

func (s *suite) apply(c task.Change, err error) {
	s.Helper()
	s.must(err)
	if errs := s.handle().Apply(s.ctx, []task.Change{c}); len(errs) != 1 || errs[0] != nil {
		s.Fatalf("apply %s to %s: %v", c.From, c.Task.State, errs)
	}
}

func (s *suite) settle(t task.Task, o task.Outcome) {
	s.Helper()
	s.apply(task.Settle(&t, &o, task.Backoff{Initial: time.Minute}, start.Add(2*time.Second), 0))
}

func (s *suite) succeed(t task.Task) {
	s.Helper()
	s.settle(t, task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte(`{"ok":true}`), ResultType: "application/json"})
}

func (s *suite) get(id task.ID) task.Task {
	s.Helper()
	t, err := s.handle().Get(s.ctx, all, id)
	s.must(err)
	return t
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantCode(err error, want task.Code) {
	s.Helper()
	if task.CodeOf(err) != want {
		s.Fatalf("got error %v (code %q), want code %q", err, task.CodeOf(err), want)
	}
}

// wantField says which task of a submission an error is about (0 where there is one), and
// which field of it.
func (s *suite) wantField(err error, number int, field string) {
	s.Helper()
	te := (*task.Error)(nil)
	if !errors.As(err, &te) || te.TaskNumber != number || len(te.Fields) != 1 || !slices.Equal(te.Fields[0].Path, []string{field}) {
		s.Fatalf("error %+v is not about %s of task %d", err, field, number)
	}
}

func (s *suite) wantCount(want task.LaneCount) {
	s.Helper()
	var got task.LaneCount
	for _, l := range s.lanes() {
		n := s.count(l)
		got.Ready, got.Waiting, got.Active = got.Ready+n.Ready, got.Waiting+n.Waiting, got.Active+n.Active
	}
	if got != want {
		s.Fatalf("the lanes count %+v, want %+v", got, want)
	}
	if ready := s.ready(s.lanes()); ready != want.Ready {
		s.Fatalf("Ready says %d, want %d", ready, want.Ready)
	}
}

func (s *suite) ready(lanes []task.LaneID) int64 {
	s.Helper()
	n, err := s.handle().Ready(s.ctx, lanes)
	s.must(err)
	return n
}

func (s *suite) count(lane task.LaneID) task.LaneCount {
	s.Helper()
	n, err := s.handle().Count(s.ctx, []task.LaneID{lane})
	s.must(err)
	return n[0]
}

func ids(ts []task.Task) []task.ID {
	out := make([]task.ID, len(ts))
	for i, t := range ts {
		out[i] = t.ID
	}
	return out
}
