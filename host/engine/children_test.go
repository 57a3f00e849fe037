package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func nothing(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }

// family is a script that spawns n children of type "work", as its input says, and rests
// until they are final.
func family(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	if t.Checkpoint != nil {
		return sdk.Text(fmt.Sprint(len(t.Children))), nil
	}
	var n int
	if err := t.Decode(&n); err != nil {
		return sdk.Result{}, err
	}
	for i := range n {
		if _, err := r.Spawn(ctx, sdk.Child{Name: fmt.Sprint(i), Type: "work", Input: fmt.Sprintf("%s/%d", t.ID, i)}); err != nil {
			return sdk.Result{}, err
		}
	}
	return sdk.Result{}, sdk.YieldForChildren(nil, []byte("spawned"))
}

// A child is made once, whichever attempt asks for it, and the next attempt is told what
// became of each.
func TestSpawn(t *testing.T) {
	ids := map[string][]string{}
	r := scripts(t, 4, quick,
		script("parent", func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
			for _, name := range []string{"good", "bad"} {
				id, err := r.Spawn(ctx, sdk.Child{Name: name, Type: "work", Input: name, Labels: map[string]string{"of": "parent"}, MaxAttempts: 1})
				if err != nil {
					return sdk.Result{}, err
				}
				ids[name] = append(ids[name], id)
			}
			if st.Attempt == 1 {
				return sdk.Result{}, errors.New("once more")
			}
			if good, _ := st.Child("good"); !good.Final() {
				return sdk.Result{}, sdk.YieldForChildren([]string{ids["good"][0], ids["bad"][0]}, nil)
			}
			return sdk.JSON(st.Children)
		}),
		script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			if string(st.Input) == `"bad"` {
				return sdk.Result{}, sdk.Permanent(errors.New("no good"))
			}
			return sdk.JSON(42)
		}))
	parent := r.submit(task.Spec{Type: "parent", Priority: 7, Trace: strings.Repeat("t", 55)})
	got := r.wait(parent.ID)
	if got.State != task.Succeeded {
		t.Fatalf("%s: %+v", got.State, got.Error)
	}
	var seen []sdk.ChildStatus
	if err := json.Unmarshal(got.Result, &seen); err != nil || len(seen) != 2 {
		t.Fatalf("%s, %v", got.Result, err)
	}
	var answer int
	if err := seen[0].Decode(&answer); err != nil || answer != 42 || !seen[0].Succeeded() || seen[0].Type != "work" {
		t.Errorf("of the good child it is told %+v, %v", seen[0], err)
	}
	if bad := seen[1]; bad.Name != "bad" || bad.State != "failed" || bad.Failure == nil || bad.Failure.Code != "permanent" || bad.Failure.Message != "no good" {
		t.Errorf("of the bad child it is told %+v", bad)
	}
	for name, all := range ids {
		if len(slices.Compact(all)) != 1 {
			t.Errorf("child %q was %v", name, all)
		}
	}
	p, err := r.List(t.Context(), me, task.Filter{Parent: parent.ID})
	if err != nil || len(p.Tasks) != 2 {
		t.Fatalf("%d children, %v", len(p.Tasks), err)
	}
	for _, c := range p.Tasks {
		if c.Owner != parent.Owner || c.Priority != 7 || c.Trace != parent.Trace || c.Labels["of"] != "parent" || c.MaxAttempts != 1 {
			t.Errorf("a child is %+v", c)
		}
	}
}

// What a script asks for and cannot have is said to it, for good or for now.
func TestSpawnRefused(t *testing.T) {
	outcomes := make(chan sdk.Outcome, 10)
	schema := json.RawMessage(`{"type":"object"}`)
	ask := func(ctx context.Context, r sdk.Reporter, c sdk.Child) {
		_, err := r.Spawn(ctx, c)
		outcomes <- sdk.OutcomeOf(ctx, sdk.Result{}, err)
	}
	var x sdk.Reporter
	r := scripts(t, 1, map[string]task.TypeConfig{"full": {QueueLimit: 1}},
		script("parent", func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
			x = r
			ask(ctx, r, sdk.Child{Name: "a", Type: "nobody"})
			ask(ctx, r, sdk.Child{Name: "a", Type: "picky", Input: 7})
			ask(ctx, r, sdk.Child{Name: "a", Type: "work", Exclusive: []string{"free", "door"}})
			ask(ctx, r, sdk.Child{Name: "a", Type: "work", MaxAttempts: 5000})
			ask(ctx, r, sdk.Child{Name: "full 1", Type: "full"})
			ask(ctx, r, sdk.Child{Name: "full 2", Type: "full"})
			ask(ctx, r, sdk.Child{Name: "full 1", Type: "work"})
			return sdk.Result{}, nil
		}),
		script("work", nothing), script("full", nothing), sdk.Script{TypeInfo: sdk.TypeInfo{Name: "picky", Input: schema}, Run: nothing})
	parent := r.submit(task.Spec{Type: "parent", Resources: task.Resources{Shared: []string{"door"}}})
	for _, want := range []struct {
		says      string
		permanent bool
	}{{"nobody", true}, {"picky", true}, {`"door" is held by task`, true}, {"max_attempts", true}, {"", false}, {"queue_limit is 1", false}, {`is a task of type "full"`, true}} {
		o := <-outcomes
		if want.says == "" {
			if o.Kind != sdk.OutcomeSucceeded {
				t.Errorf("a child that may be: %+v", o)
			}
			continue
		}
		if o.Kind != sdk.OutcomeFailed || o.Permanent != want.permanent || !strings.Contains(o.Message, want.says) || o.Permanent == (o.RetryAfter > 0) {
			t.Errorf("want %q, permanent %v: %+v", want.says, want.permanent, o)
		}
	}
	r.wait(parent.ID)
	r.until("the attempt has heard of its end", func() bool { return r.Attempts() == 0 })
	ignored := r.Ignored()
	ask(t.Context(), x, sdk.Child{Name: "late", Type: "work"})
	if o := <-outcomes; o.Kind != sdk.OutcomeFailed || !strings.Contains(o.Message, "no longer holds") || r.Ignored() != ignored+1 {
		t.Errorf("an attempt that is over: %+v", o)
	}
}

// Parents that wait hold no slot: a hundred of them get through one, and their children.
func TestParentsHoldNoSlots(t *testing.T) {
	r := scripts(t, 1, nil, script("family", family), script("work", nothing))
	var parents []task.ID
	for range 100 {
		parents = append(parents, r.submit(task.Spec{Type: "family", Input: []byte("3")}).ID)
	}
	for _, id := range parents {
		if got := r.wait(id); got.State != task.Succeeded || string(got.Result) != "3" || got.Attempt != 2 {
			t.Fatalf("%s with %s after %d attempts, %+v", got.State, got.Result, got.Attempt, got.Error)
		}
	}
}

// Children take their parent's place: what came after it runs after it, however long the queue.
func TestChildrenGoBeforeWhatCameLater(t *testing.T) {
	const later, children = 2000, 100
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	gate := make(chan struct{})
	r := scripts(t, 1, nil,
		script("family", func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
			<-gate
			note("parent")
			return family(ctx, st, r)
		}),
		script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			if string(st.Input) == "null" {
				note("later")
			} else {
				note("child")
			}
			return sdk.Result{}, nil
		}))
	parent := r.submit(task.Spec{Type: "family", Input: fmt.Append(nil, children), Priority: 3})
	specs := make([]task.Spec, later)
	for i := range specs {
		specs[i] = task.Spec{Type: "work", Priority: 3}
	}
	if _, _, err := r.Submit(t.Context(), me, specs, nil); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if got := r.wait(parent.ID); got.State != task.Succeeded {
		t.Fatalf("%s: %+v", got.State, got.Error)
	}
	mu.Lock()
	defer mu.Unlock()
	// While a parent's last attempt is being woken, the one slot may take a few of the others.
	if between := slices.Index(order[children+1:], "parent"); between < 0 || between > 20 {
		t.Errorf("%d tasks ran between the last child and the parent", between)
	}
	if at := slices.Index(order, "later"); at >= 0 && at <= children {
		t.Errorf("a task that came later ran as number %d, before %d children", at, children)
	}
}

// The same name asked for at once, from several goroutines and over REST, is one child.
func TestSpawnAtOnce(t *testing.T) {
	var r *rig
	ready := make(chan struct{})
	got := make(chan string, 100)
	r = scripts(t, 2, nil, script("work", nothing),
		script("parent", func(ctx context.Context, st sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
			<-ready
			parent, _ := task.ParseID(st.ID)
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() {
					name := fmt.Sprint("n", i%3)
					if i%2 == 0 {
						id, err := rep.Spawn(ctx, sdk.Child{Name: name, Type: "work"})
						got <- fmt.Sprintf("%s %s %v", name, id, err)
						return
					}
					children, _, err := r.Spawn(ctx, task.Token(st.Token), []task.Spec{{Type: "work", Parent: parent, Name: name}}, nil)
					if err == nil {
						got <- fmt.Sprintf("%s %s %v", name, children[0].ID, err)
					} else {
						got <- err.Error()
					}
				})
			}
			all.Wait()
			close(got)
			return sdk.Result{}, nil
		}))
	parent := r.submit(task.Spec{Type: "parent"})
	close(ready)
	different := map[string]bool{}
	for g := range got {
		different[g] = true
	}
	if len(different) != 3 {
		t.Errorf("want one child to a name: %v", different)
	}
	r.wait(parent.ID)
	if p, err := r.List(t.Context(), me, task.Filter{Parent: parent.ID}); err != nil || len(p.Tasks) != 3 {
		t.Errorf("%d children, %v", len(p.Tasks), err)
	}
}

// Whoever has an attempt's token spawns children of its task alone, and only as long as it runs.
func TestSpawnByToken(t *testing.T) {
	tokens := make(chan sdk.Token, 1)
	gate := newGate()
	r := scripts(t, 2, nil, script("work", nothing), script("parent", func(ctx context.Context, st sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		tokens <- st.Token
		return gate.run(ctx, st, rep)
	}))
	parent := r.submit(task.Spec{Type: "parent"})
	token := task.Token(<-tokens)
	child := func(name string) task.Spec { return task.Spec{Type: "work", Parent: parent.ID, Name: name} }
	spawn := func(token task.Token, specs ...task.Spec) ([]task.Task, bool, error) {
		return r.Spawn(t.Context(), token, specs, nil)
	}
	first, replayed, err := spawn(token, child("a"), child(""), child("b"))
	if err != nil || replayed || len(first) != 3 {
		t.Fatal(first, replayed, err)
	}
	again, replayed, err := spawn(token, child("b"), child("a"))
	if err != nil || !replayed || again[0].ID != first[2].ID || again[1].ID != first[0].ID {
		t.Errorf("again: %v, %v", replayed, err)
	}
	mixed, replayed, err := spawn(token, child("c"), child("a"))
	if err != nil || replayed || mixed[1].ID != first[0].ID || mixed[0].Step != "c" {
		t.Errorf("one of them again: %+v, %v, %v", mixed, replayed, err)
	}
	key := &task.Idempotency{Key: "k", Hash: [32]byte{1}}
	once, _, err := r.Spawn(t.Context(), token, []task.Spec{child("")}, key)
	if err != nil {
		t.Fatal(err)
	}
	if twice, replayed, err := r.Spawn(t.Context(), token, []task.Spec{child("")}, key); err != nil || !replayed || twice[0].ID != once[0].ID {
		t.Errorf("under one key: %v, %v", replayed, err)
	}
	if _, _, err := spawn(token, child("d"), task.Spec{Type: "nobody", Parent: parent.ID}); task.CodeOf(err) != task.CodeUnknownType {
		t.Errorf("one that cannot be: %v", err)
	}
	if _, _, err := spawn(token, child("d"), child("d")); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("two of one name: %v", err)
	}
	if _, err := r.store.Child(t.Context(), parent.ID, "d"); task.CodeOf(err) != task.CodeNotFound {
		t.Errorf("part of a submission was taken: %v", err)
	}
	stranger := r.submit(task.Spec{Type: "work"})
	if _, _, err := spawn(token, task.Spec{Type: "work", Parent: stranger.ID}); task.CodeOf(err) != task.CodeForbidden {
		t.Errorf("of another task: %v", err)
	}
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{child("e")}, nil); task.CodeOf(err) != task.CodeInvalidRequest {
		t.Errorf("without a token: %v", err)
	}
	if err := r.Delete(t.Context(), me, first[0].ID); task.CodeOf(err) != task.CodeNotFinal {
		t.Errorf("a child that may be asked for again was deleted: %v", err)
	}
	close(gate.let)
	r.wait(parent.ID)
	if _, _, err := spawn(token, child("f")); task.CodeOf(err) != task.CodeNotFound {
		t.Errorf("after its end: %v", err)
	}
}

// A parent that was lost half way finds the children that it has made, and makes no second ones.
func TestLostParentFindsItsChildren(t *testing.T) {
	store := openStore(t, t.TempDir())
	release := make(chan struct{})
	defer close(release)
	spawned := make(chan string, 10)
	parent := func(stall bool) sdk.Script {
		return script("parent", func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
			for _, name := range []string{"a", "b"} {
				if c, ok := st.Child(name); ok && c.Succeeded() {
					continue
				}
				id, err := r.Spawn(ctx, sdk.Child{Name: name, Type: "work"})
				if err != nil {
					return sdk.Result{}, err
				}
				spawned <- name + id
				if stall {
					<-release // deaf: its host has to end without it
				}
			}
			if len(st.Children) == 2 && st.Children[1].Final() {
				return sdk.Text("done"), nil
			}
			return sdk.Result{}, sdk.YieldForChildren(nil, nil)
		})
	}
	one := func(stall bool) engine.Options {
		x, err := sdk.NewScripts(parent(stall), script("work", nothing))
		if err != nil {
			t.Fatal(err)
		}
		return engine.Options{CancelGrace: time.Millisecond, Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}}
	}
	first := start(t, store, one(true))
	id := first.submit(task.Spec{Type: "parent"}).ID
	made := <-spawned
	if err := first.Close(t.Context()); err == nil {
		t.Fatal("the deaf attempt has ended")
	}
	next := start(t, store, one(false))
	if got := next.wait(id); got.State != task.Succeeded || string(got.Result) != "done" || got.Lost != 1 {
		t.Fatalf("%s with %s, lost %d: %+v", got.State, got.Result, got.Lost, got.Error)
	}
	if again := <-spawned; again[0] == 'a' && again != made {
		t.Errorf("child a was %s, and is %s", made, again)
	}
	if p, err := next.List(t.Context(), me, task.Filter{Parent: id}); err != nil || len(p.Tasks) != 2 {
		t.Errorf("%d children, %v", len(p.Tasks), err)
	}
}

// A host that is about to end lets attempts finish, and they may still spawn: the next one
// runs what they made.
func TestSpawnWhileTheHostEnds(t *testing.T) {
	store := openStore(t, t.TempDir())
	began, let := make(chan struct{}), make(chan struct{})
	x, err := sdk.NewScripts(script("work", nothing), script("family", func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		if st.Attempt == 1 {
			close(began)
			<-let
		}
		return family(ctx, st, r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Options{DrainTimeout: 20 * time.Second, Executors: []registry.Binding{{Name: "x", Slots: 4, Executor: x}}}
	first := start(t, store, o)
	id := first.submit(task.Spec{Type: "family", Input: []byte("3")}).ID
	<-began
	ended := make(chan error)
	go func() { ended <- first.Close(context.Background()) }()
	first.until("it takes nothing", func() bool {
		_, _, err := first.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil)
		return task.CodeOf(err) == task.CodeStoreUnavailable
	})
	close(let)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := first.get(id); got.State != task.Pending || got.Waiting != task.WaitChildren || got.Failures != 0 {
		t.Fatalf("the parent is %s, %s: %+v", got.State, got.Waiting, got.Error)
	}
	next := start(t, store, o)
	if got := next.wait(id); got.State != task.Succeeded || string(got.Result) != "3" {
		t.Errorf("%s with %s: %+v", got.State, got.Result, got.Error)
	}
}

// Retry of a parent has those of its children wait again that failed or were canceled, and
// theirs; delete takes all of them along.
func TestRetryAndDeleteGoDown(t *testing.T) {
	var broken sync.Map
	run := func(inner string) func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
			if _, err := r.Spawn(ctx, sdk.Child{Name: "bad", Type: inner, Input: "bad"}); err != nil {
				return sdk.Result{}, err
			}
			if _, err := r.Spawn(ctx, sdk.Child{Name: "good", Type: "work", Input: "good"}); err != nil {
				return sdk.Result{}, err
			}
			for _, c := range st.Children {
				if c.State == "failed" {
					return sdk.Result{}, sdk.Permanent(errors.New(c.Name + " failed"))
				}
			}
			if bad, ok := st.Child("bad"); ok && bad.Succeeded() {
				return sdk.Result{}, nil
			}
			return sdk.Result{}, sdk.YieldForChildren(nil, nil)
		}
	}
	r := scripts(t, 1, nil, script("top", run("middle")), script("middle", run("work")),
		script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			if _, once := broken.LoadOrStore(string(st.Input), true); !once && string(st.Input) == `"bad"` {
				return sdk.Result{}, sdk.Permanent(errors.New("broken"))
			}
			return sdk.Result{}, nil
		}))
	top := r.submit(task.Spec{Type: "top"})
	if got := r.wait(top.ID); got.State != task.Failed || got.Error.Message != "bad failed" {
		t.Fatalf("%s: %+v", got.State, got.Error)
	}
	if _, err := r.Retry(t.Context(), me, top.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(top.ID); got.State != task.Succeeded {
		t.Fatalf("%s: %+v", got.State, got.Error)
	}
	tree, err := r.Tree(t.Context(), me, top.ID, 100)
	if err != nil || len(tree.Children) != 2 || len(tree.Children[0].Children) != 2 || tree.More {
		t.Fatalf("%+v, %v", tree, err)
	}
	for _, c := range []*task.Tree{tree, tree.Children[0], tree.Children[0].Children[0], tree.Children[0].Children[1], tree.Children[1]} {
		if want := map[string]int{"good": 1}[c.Task.Step]; c.Task.State != task.Succeeded || want != 0 && c.Task.Attempt != want {
			t.Errorf("%q is %s after %d attempts", c.Task.Step, c.Task.State, c.Task.Attempt)
		}
	}
	for limit, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5} {
		if tree, err := r.Tree(t.Context(), me, top.ID, limit); err != nil || count(tree) != want || more(tree) != (limit < 5) {
			t.Errorf("%d at the most: %d, more %v, %v", limit, count(tree), more(tree), err)
		}
	}
	if _, err := r.Tree(t.Context(), task.Scope{Owner: "else"}, top.ID, 10); task.CodeOf(err) != task.CodeNotFound {
		t.Errorf("another's tree: %v", err)
	}
	if err := r.Delete(t.Context(), me, top.ID); err != nil {
		t.Fatal(err)
	}
	if p, err := r.List(t.Context(), me, task.Filter{}); err != nil || len(p.Tasks) != 0 {
		t.Errorf("%d tasks are left, %v", len(p.Tasks), err)
	}
}

func count(n *task.Tree) int {
	all := 1
	for _, c := range n.Children {
		all += count(c)
	}
	return all
}

func more(n *task.Tree) bool { return n.More || slices.ContainsFunc(n.Children, more) }

// What goes on below a task that is final keeps it from being deleted, whole.
func TestDeleteWaitsForChildren(t *testing.T) {
	gate := newGate()
	r := scripts(t, 3, nil, script("work", gate.run), script("quick", nothing),
		script("parent", func(ctx context.Context, _ sdk.Task, r sdk.Reporter) (sdk.Result, error) {
			if _, err := r.Spawn(ctx, sdk.Child{Name: "quick", Type: "quick"}); err != nil {
				return sdk.Result{}, err
			}
			_, err := r.Spawn(ctx, sdk.Child{Name: "slow", Type: "work"})
			return sdk.Result{}, err
		}))
	parent := r.submit(task.Spec{Type: "parent"})
	r.wait(parent.ID)
	quick, err := r.store.Child(t.Context(), parent.ID, "quick")
	if err != nil {
		t.Fatal(err)
	}
	r.wait(quick.ID)
	if err := r.Delete(t.Context(), me, parent.ID); task.CodeOf(err) != task.CodeNotFinal || !strings.Contains(err.Error(), "was spawned by") {
		t.Errorf("%v", err)
	}
	r.get(quick.ID)
	close(gate.let)
	slow, err := r.store.Child(t.Context(), parent.ID, "slow")
	if err != nil {
		t.Fatal(err)
	}
	r.wait(slow.ID)
	if err := r.Delete(t.Context(), me, parent.ID); err != nil {
		t.Error(err)
	}
}

// A parent that is canceled takes its children along, and theirs, also those that were handed on.
func TestCancelGoesDown(t *testing.T) {
	gate := newGate()
	fleet := &remote{calls: make(chan call, 10)}
	x, err := sdk.NewScripts(script("leaf", gate.run), script("parent", func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		var depth int
		if err := st.Decode(&depth); err != nil {
			return sdk.Result{}, err
		}
		for name, c := range map[string]sdk.Child{"remote": {Type: "work"}, "leaf": {Type: "leaf"}, "queued": {Type: "leaf", Deadline: time.Now().Add(time.Hour)}} {
			if c.Name = name; depth > 0 && name == "leaf" {
				c = sdk.Child{Name: "deeper", Type: "parent", Input: depth - 1}
			}
			if _, err := r.Spawn(ctx, c); err != nil {
				return sdk.Result{}, err
			}
		}
		return sdk.Result{}, sdk.YieldForChildren(nil, nil)
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 2, Executor: x}, {Name: "fleet", Executor: fleet}}})
	top := r.submit(task.Spec{Type: "parent", Input: []byte("1")})
	<-gate.began
	handedOn := []call{<-fleet.calls, <-fleet.calls}
	if err := handedOn[0].r.Started([]byte("h"), "n"); err != nil {
		t.Fatal(err)
	}
	for _, c := range handedOn {
		go func() {
			<-c.ctx.Done()
			c.done <- context.Cause(c.ctx)
		}()
	}
	if _, err := r.Cancel(t.Context(), me, top.ID); err != nil {
		t.Fatal(err)
	}
	r.until("all are canceled", func() bool {
		p, err := r.List(t.Context(), me, task.Filter{States: []task.State{task.Canceled}})
		return err == nil && len(p.Tasks) == 7
	})
	p, err := r.List(t.Context(), me, task.Filter{})
	if err != nil || len(p.Tasks) != 7 {
		t.Errorf("%d tasks, %v", len(p.Tasks), err)
	}
}

// A parent has a bound of children, over all its attempts.
func TestMaxChildren(t *testing.T) {
	attempts, let, outcomes := make(chan sdk.Task), make(chan struct{}), make(chan error, 10)
	r := scripts(t, 1, quick, script("other", nothing), script("work", func(ctx context.Context, st sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		attempts <- st
		<-let
		for _, name := range []string{"0", fmt.Sprint("last of ", st.Attempt)} {
			_, err := rep.Spawn(ctx, sdk.Child{Name: name, Type: "other"})
			outcomes <- err
		}
		return sdk.Result{}, errors.New("again")
	}))
	parent := r.submit(task.Spec{MaxAttempts: 2})
	specs := make([]task.Spec, sdk.MaxChildren)
	for i := range specs {
		specs[i] = task.Spec{Type: "other", Parent: parent.ID, Name: fmt.Sprint(i)}
	}
	token := task.Token((<-attempts).Token)
	if _, _, err := r.Spawn(t.Context(), token, append(specs, task.Spec{Type: "other", Parent: parent.ID}), nil); task.CodeOf(err) != task.CodeTooLarge {
		t.Errorf("too many at once: %v", err)
	}
	if _, _, err := r.Spawn(t.Context(), token, specs[:sdk.MaxChildren-1], nil); err != nil {
		t.Fatal(err)
	}
	let <- struct{}{}
	for _, attempt := range []string{"the first", "the second"} {
		if err := <-outcomes; err != nil {
			t.Errorf("%s attempt asks for one that is there: %v", attempt, err)
		}
		err := <-outcomes
		if attempt == "the first" {
			if err != nil {
				t.Errorf("the last that there may be: %v", err)
			}
			if next := <-attempts; len(next.Children) != sdk.MaxChildren {
				t.Errorf("the second attempt is told of %d children", len(next.Children))
			}
			let <- struct{}{}
		} else if !sdk.OutcomeOf(t.Context(), sdk.Result{}, err).Permanent || !strings.Contains(err.Error(), "more than 10000 children") {
			t.Errorf("one too many: %v", err)
		}
	}
}
