package storetest

import (
	"reflect"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// scope: nobody sees another owner's tasks, by any way.
func scope(s *suite) {
	t := s.run(task.Spec{Key: "k"})
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, []task.LogLine{{Seq: 1, At: start, Attempt: 1, Level: "info", Message: "m"}}))
	s.succeed(t)
	for _, c := range []struct {
		scope task.Scope
		want  task.Code
	}{
		{mine, ""}, {all, ""}, {task.Scope{Owner: "eve"}, task.CodeNotFound}, {task.Scope{}, task.CodeNotFound},
	} {
		_, err := s.handle().Get(s.ctx, c.scope, t.ID)
		s.wantCode(err, c.want)
		_, err = s.handle().History(s.ctx, c.scope, t.ID, 0)
		s.wantCode(err, c.want)
		_, err = s.handle().Logs(s.ctx, c.scope, t.ID, task.LogFilter{})
		s.wantCode(err, c.want)
		found, err := s.handle().ByPrefix(s.ctx, c.scope, t.ID, t.ID)
		s.must(err)
		page, err := s.handle().List(s.ctx, c.scope, task.Filter{})
		s.must(err)
		if n := len(found); n != len(page.Tasks) || (n == 1) != (c.want == "") {
			s.Fatalf("scope %+v finds %d by prefix and lists %d", c.scope, n, len(page.Tasks))
		}
		if c.want != "" {
			s.wantCode(s.handle().Delete(s.ctx, c.scope, t.ID), c.want)
		}
	}
}

func byPrefix(s *suite) {
	mk := func(first, second byte) task.ID {
		t := s.make(task.Spec{})
		t.ID[0], t.ID[1] = first, second
		s.put(t)
		return t.ID
	}
	a, b, c := mk(0xab, 0x10), mk(0xab, 0x20), mk(0xcd, 0xff)
	for _, p := range []struct {
		prefix string
		want   []task.ID
	}{
		{"ab1", []task.ID{a}}, {"ab", []task.ID{a, b}}, {"cdff", []task.ID{c}}, {"CD", []task.ID{c}}, {"ef", nil}, {a.String(), []task.ID{a}},
	} {
		lo, hi, err := task.PrefixRange(p.prefix)
		s.must(err)
		got, err := s.handle().ByPrefix(s.ctx, mine, lo, hi)
		s.must(err)
		slices.SortFunc(got, func(x, y task.ID) int { return slices.Compare(x[:], y[:]) })
		if !slices.Equal(got, p.want) {
			s.Fatalf("prefix %q finds %v, want %v", p.prefix, got, p.want)
		}
	}
	mk(0xab, 0x30)
	lo, hi, _ := task.PrefixRange("ab")
	if got, err := s.handle().ByPrefix(s.ctx, mine, lo, hi); err != nil || len(got) != 2 {
		s.Fatalf("three tasks begin with ab, ByPrefix gives %d, %v, want two", len(got), err)
	}
}

func listPages(s *suite) {
	var want []task.ID
	batch := make([]*task.Task, 57)
	for i := range batch {
		batch[i] = s.make(task.Spec{Input: []byte(`{"secret":1}`)})
		want = append(want, batch[i].ID)
	}
	s.put(batch...)
	walk := func(f task.Filter) (got []task.ID) {
		s.Helper()
		for pages := 0; ; pages++ {
			p, err := s.handle().List(s.ctx, mine, f)
			s.must(err)
			for _, t := range p.Tasks {
				if t.Input != nil || t.Result != nil || t.Checkpoint != nil || t.Handle != nil {
					s.Fatalf("a listed task carries payloads: %+v", t)
				}
			}
			got = append(got, ids(p.Tasks)...)
			if p.Next.IsZero() {
				return got
			}
			if f.Limit > 0 && len(p.Tasks) > f.Limit || pages > len(want) {
				s.Fatalf("a page of %d tasks with limit %d, %d pages", len(p.Tasks), f.Limit, pages)
			}
			f.Cursor = p.Next
		}
	}
	for _, limit := range []int{1, 10, 19, 57, 100, 0} {
		if got := walk(task.Filter{Limit: limit, Ascending: true}); !slices.Equal(got, want) {
			s.Fatalf("ascending by %d: %d tasks, want %d in order", limit, len(got), len(want))
		}
		got := walk(task.Filter{Limit: limit})
		slices.Reverse(got)
		if !slices.Equal(got, want) {
			s.Fatalf("descending by %d: %d tasks, want %d in order", limit, len(got), len(want))
		}
	}
	if p, err := s.handle().List(s.ctx, mine, task.Filter{Limit: 1 << 30}); err != nil || len(p.Tasks) != len(want) {
		s.Fatalf("list: %d, %v", len(p.Tasks), err)
	}
}

func listFilters(s *suite) {
	t := s.run(task.Spec{Type: "a", Labels: map[string]string{"team": "x", "odd": `a"b`}})
	s.settle(t, task.Outcome{Kind: task.OutcomeFailed, Permanent: true, Message: "bad", Details: map[string]any{"hidden": true}})
	running := s.run(task.Spec{Type: "b", Key: "key", Labels: map[string]string{"team": "y"}})
	late := s.make(task.Spec{Type: "a", Priority: 2, Executor: "pinned"})
	late.CreatedAt = start.Add(time.Hour)
	s.put(late)
	bob := s.make(task.Spec{Type: "a", Labels: map[string]string{"team": "x"}})
	bob.Owner = "bob"
	s.put(bob)
	for name, c := range map[string]struct {
		scope task.Scope
		f     task.Filter
		want  []task.ID
	}{
		"state":           {mine, task.Filter{States: []task.State{task.Failed, task.Running}}, []task.ID{running.ID, t.ID}},
		"type":            {mine, task.Filter{Types: []string{"a"}}, []task.ID{late.ID, t.ID}},
		"types":           {all, task.Filter{Types: []string{"a", "b"}}, []task.ID{bob.ID, late.ID, running.ID, t.ID}},
		"unknown type":    {all, task.Filter{Types: []string{"zzz"}}, nil},
		"owner":           {all, task.Filter{Owner: "bob"}, []task.ID{bob.ID}},
		"another owner":   {mine, task.Filter{Owner: "bob"}, nil},
		"key":             {mine, task.Filter{Key: "key"}, []task.ID{running.ID}},
		"executor":        {mine, task.Filter{Executor: "local"}, []task.ID{running.ID, t.ID}},
		"pinned":          {mine, task.Filter{Executor: "pinned"}, []task.ID{late.ID}},
		"placed":          {all, task.Filter{Executor: "local", Placed: []string{"a"}}, []task.ID{bob.ID, running.ID, t.ID}},
		"placed there":    {mine, task.Filter{Executor: "pinned", Placed: []string{"a", "b"}}, []task.ID{late.ID}},
		"label":           {all, task.Filter{Labels: map[string]string{"team": "x"}}, []task.ID{bob.ID, t.ID}},
		"labels":          {all, task.Filter{Labels: map[string]string{"team": "x", "odd": `a"b`}}, []task.ID{t.ID}},
		"no such label":   {all, task.Filter{Labels: map[string]string{"team": "z"}}, nil},
		"created after":   {mine, task.Filter{CreatedAfter: start.Add(time.Minute)}, []task.ID{late.ID}},
		"created before":  {mine, task.Filter{CreatedBefore: start.Add(time.Minute)}, []task.ID{running.ID, t.ID}},
		"finished after":  {mine, task.Filter{FinishedAfter: start.Add(time.Second)}, []task.ID{t.ID}},
		"finished later":  {mine, task.Filter{FinishedAfter: start.Add(2 * time.Second)}, nil},
		"finished before": {all, task.Filter{FinishedBefore: start.Add(time.Minute)}, []task.ID{t.ID}},
		"together":        {all, task.Filter{Types: []string{"a"}, States: []task.State{task.Pending}, Labels: map[string]string{"team": "x"}}, []task.ID{bob.ID}},
	} {
		p, err := s.handle().List(s.ctx, c.scope, c.f)
		s.must(err)
		if !slices.Equal(ids(p.Tasks), c.want) {
			s.Errorf("%s: %v, want %v", name, ids(p.Tasks), c.want)
		}
	}
	p, err := s.handle().List(s.ctx, mine, task.Filter{States: []task.State{task.Failed}})
	s.must(err)
	got := p.Tasks[0]
	if got.Error == nil || got.Error.Code != task.FailureScript || got.Error.Message != "bad" || got.Error.Details != nil || got.Labels["odd"] != `a"b` || got.Type != "a" || got.Owner != "ann" {
		s.Fatalf("listed %+v with error %+v", got, got.Error)
	}
}

// listMembers: the tasks of a group, of a flow and of a parent are found alone, in pages
// too, whatever else is asked of them.
func listMembers(s *suite) {
	members, theirs, flow := s.group(group.Spec{Open: true}).ID, s.group(group.Spec{Open: true}).ID, id()
	parent := s.run(task.Spec{})
	var ofGroup, ofFlow, ofBoth, ofTheirs, children []task.ID
	for i := range 40 {
		t := s.make(task.Spec{Type: []string{"a", "b"}[i%2]})
		if i%4 == 0 {
			t.Group = members
			ofGroup = append(ofGroup, t.ID)
		}
		if i%3 == 0 {
			t.Flow = flow
			ofFlow = append(ofFlow, t.ID)
		}
		if i%4 == 0 && i%3 == 0 {
			ofBoth = append(ofBoth, t.ID)
		}
		if i%10 == 0 {
			t.Parent, t.Spawner = parent.ID, parent.Token
			children = append(children, t.ID)
		}
		if i%8 == 1 {
			t.Group = theirs
			ofTheirs = append(ofTheirs, t.ID)
		}
		s.put(t)
	}
	s.manyMembers()
	for name, c := range map[string]struct {
		scope task.Scope
		f     task.Filter
		want  []task.ID
	}{
		"group":          {all, task.Filter{Group: members}, ofGroup},
		"another's":      {task.Scope{Owner: "bob"}, task.Filter{Group: members}, nil},
		"another group":  {mine, task.Filter{Group: theirs}, ofTheirs},
		"flow":           {all, task.Filter{Flow: flow}, ofFlow},
		"children":       {all, task.Filter{Parent: parent.ID}, children},
		"group and flow": {all, task.Filter{Group: members, Flow: flow}, ofBoth},
		"and a type":     {all, task.Filter{Group: members, Types: []string{"a"}}, ofGroup},
		"no such type":   {all, task.Filter{Group: members, Types: []string{"b"}}, nil},
		"no such group":  {all, task.Filter{Group: flow}, nil},
	} {
		for _, limit := range []int{1, 3, 100} {
			for _, ascending := range []bool{true, false} {
				f := c.f
				f.Ascending, f.Limit = ascending, limit
				var got []task.ID
				for {
					p, err := s.handle().List(s.ctx, c.scope, f)
					s.must(err)
					got = append(got, ids(p.Tasks)...)
					if f.Cursor = p.Next; p.Next.IsZero() || len(got) > 40 {
						break
					}
				}
				if !ascending {
					slices.Reverse(got)
				}
				if !slices.Equal(got, c.want) {
					s.Errorf("%s by %d, ascending %v: %v, want %v", name, limit, ascending, got, c.want)
				}
			}
		}
	}
}

// manyMembers: a group among others is found whole, however few of it match.
func (s *suite) manyMembers() {
	s.Helper()
	large, small := s.group(group.Spec{Open: true}).ID, s.group(group.Spec{Open: true}).ID
	var batch []*task.Task
	var want []task.ID
	for i := range 2500 {
		t := s.make(task.Spec{Type: "many"})
		t.Group = large
		if i%500 == 3 {
			t.Group = small
		}
		if i == 2 || i == 2400 {
			t.Labels = map[string]string{"this": "one"}
			want = append(want, t.ID)
		}
		batch = append(batch, t)
	}
	s.put(batch...)
	p, err := s.handle().List(s.ctx, all, task.Filter{Group: large, Labels: map[string]string{"this": "one"}, Ascending: true})
	s.must(err)
	if !slices.Equal(ids(p.Tasks), want) {
		s.Fatalf("%v of a large group, want %v", ids(p.Tasks), want)
	}
	if p, err := s.handle().List(s.ctx, all, task.Filter{Group: small}); err != nil || len(p.Tasks) != 5 {
		s.Fatalf("%d of a small group, %v, want 5", len(p.Tasks), err)
	}
}

// listResults: a list says what kind of result there is, without the result.
func listResults(s *suite) {
	for _, o := range []task.Outcome{{Result: []byte("null"), ResultType: "application/json"}, {Result: []byte("x"), ResultType: "text/plain"}} {
		o.Kind = task.OutcomeSucceeded
		s.settle(s.run(task.Spec{}), o)
		p, err := s.handle().List(s.ctx, mine, task.Filter{Limit: 1})
		s.must(err)
		if got := p.Tasks[0]; got.ResultType != o.ResultType || got.Result != nil {
			s.Fatalf("listed a result %q of type %q, want the type %q alone", got.Result, got.ResultType, o.ResultType)
		}
	}
}

func history(s *suite) {
	t := s.run(task.Spec{})
	s.settle(t, task.Outcome{Kind: task.OutcomeFailed, Message: "no luck"})
	s.apply(task.Cancel(new(s.get(t.ID)), "ann", start.Add(4*time.Second)))
	want := []task.Event{
		{Seq: 1, At: start, From: task.None, To: task.Pending, By: "ann"},
		{Seq: 2, At: start.Add(time.Second), From: task.Pending, To: task.Running, Attempt: 1, By: task.ByHost},
		{Seq: 3, At: start.Add(2 * time.Second), From: task.Running, To: task.Pending, Attempt: 1, By: task.ByExecutor("local"), Message: "script_failed: no luck"},
		{Seq: 4, At: start.Add(4 * time.Second), From: task.Pending, To: task.Canceled, Attempt: 1, By: "ann", Message: "canceled before it ran"},
	}
	if h := s.history(t.ID); !reflect.DeepEqual(h, want) {
		s.Fatalf("history\n%+v, want\n%+v", h, want)
	}
	h, err := s.handle().History(s.ctx, mine, t.ID, 2)
	s.must(err)
	if !reflect.DeepEqual(h, want[2:]) {
		s.Fatalf("history after 2: %+v", h)
	}
}

func logs(s *suite) {
	t := s.run(task.Spec{})
	lines := []task.LogLine{
		{Seq: 1, At: start, Attempt: 1, Level: "debug", Message: "one"},
		{Seq: 2, At: start, Attempt: 1, Level: "info", Message: "two", Fields: map[string]string{"k": "v"}},
		{Seq: 3, At: start, Attempt: 1, Level: "error", Message: ""},
		{Seq: 4, At: start.Add(time.Microsecond), Attempt: 2, Level: "warn", Message: "four"},
	}
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, lines[:2]))
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, lines[2:]))
	s.must(s.handle().AppendLogs(s.ctx, t.Seq, nil))
	for name, c := range map[string]struct {
		f    task.LogFilter
		want []task.LogLine
	}{
		"all":       {task.LogFilter{}, lines},
		"after":     {task.LogFilter{After: 2}, lines[2:]},
		"attempt":   {task.LogFilter{Attempt: 2}, lines[3:]},
		"limit":     {task.LogFilter{Limit: 2}, lines[:2]},
		"min level": {task.LogFilter{Level: "warn"}, lines[2:]},
		"info":      {task.LogFilter{Level: "info", Attempt: 1}, lines[1:3]},
		"none":      {task.LogFilter{After: 4}, nil},
	} {
		got, err := s.handle().Logs(s.ctx, mine, t.ID, c.f)
		s.must(err)
		if !reflect.DeepEqual(got, c.want) {
			s.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
