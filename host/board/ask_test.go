package board

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func TestRequestCheck(t *testing.T) {
	good := func() Request { return Request{Worker: "w", Types: []string{"b", "a", "b"}} }
	r := good()
	if err := r.Check(); err != nil || r.Limit != 1 || r.Lease != DefaultLease || !slices.Equal(r.Types, []string{"a", "b"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	for field, spoil := range map[string]func(*Request){
		"worker":  func(r *Request) { r.Worker = "" },
		"types":   func(r *Request) { r.Types = nil },
		"limit":   func(r *Request) { r.Limit = MaxClaims + 1 },
		"wait":    func(r *Request) { r.Wait = -1 },
		"lease":   func(r *Request) { r.Lease = MinLease - 1 },
		"version": func(r *Request) { r.Version = "new" },
		"labels":  func(r *Request) { r.Labels = map[string]string{"": "x"} },
	} {
		r := good()
		spoil(&r)
		if err := r.Check(); task.CodeOf(err) != task.CodeInvalidRequest || !strings.Contains(err.Error(), "/"+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, name := range []string{"a\nb", strings.Repeat("x", MaxWorker+1)} {
		r := good()
		r.Worker = name
		if r.Check() == nil {
			t.Errorf("worker %q is taken", name)
		}
	}
}

func TestRequestTakes(t *testing.T) {
	r := Request{Scope: task.Scope{Owner: "me"}, Types: []string{"a"}, Labels: map[string]string{"zone": "x", "gpu": "1"}, Version: "1.4.0"}
	for _, c := range []struct {
		taskType, owner string
		route           task.Route
		minVersion      string
		want            bool
	}{
		{"a", "me", nil, "", true}, {"b", "me", nil, "", false}, {"a", "you", nil, "", false},
		{"a", "me", task.Route{"zone": "x"}, "", true}, {"a", "me", task.Route{"zone": "y"}, "", false}, {"a", "me", task.Route{"zone": "x", "disk": ""}, "", false},
		{"a", "me", task.Route{"zone": "x"}, "1.4.0", true}, {"a", "me", nil, "1.10.0", false}, {"a", "me", task.Route{"zone": "y"}, "1.0.0", false},
	} {
		if got := r.Takes(c.taskType, c.owner, c.route, c.minVersion); got != c.want {
			t.Errorf("%s of %s on %v in version %q: %v", c.taskType, c.owner, c.route, c.minVersion, got)
		}
	}
	r.Scope.All = true
	if !r.Takes("a", "you", nil, "") {
		t.Error("an admin's worker does not get all owners' tasks")
	}
}

// An ask that nobody waits at any more is passed by, and what was claimed for it meanwhile
// is given back.
func TestClaimForNobodyIsReleased(t *testing.T) {
	b := New(Options{})
	t.Cleanup(b.Close)
	x, err := newExecutor(b, sdk.NewConfig("x", []byte(`{"types":["a"]}`), nil))
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.Enter(Request{Worker: "w", Types: []string{"a"}, Limit: 1, Lease: time.Minute, Wait: time.Minute})
	if err != nil || len(b.Asks()) != 1 || a.Begin() != 1 || a.Begin() != 0 {
		t.Fatalf("an ask cannot be claimed for, or twice: %v", err)
	}
	token := sdk.Token{1}
	if again := a.Give([]*task.Task{{Token: task.Token(token), Suspect: true}}); again {
		t.Error("the ask has what it wants, and is to be looked at again")
	}
	a.Leave()
	_, err = x.Execute(t.Context(), sdk.Task{ID: task.ID{1}.String(), Type: "a", Token: token, Suspect: true}, sdk.NewReporter(sdk.ReporterFuncs{
		Started: func([]byte, string) error { t.Error("an attempt was started for nobody"); return nil }}))
	if !isOutcome(err, sdk.OutcomeReleased) {
		t.Errorf("got %v", err)
	}
	if len(b.Asks())+len(b.expected)+len(b.claims)+len(b.suspects) != 0 {
		t.Errorf("something is left: %v %v %v", b.expected, b.claims, b.suspects)
	}
}

// Who was passed by while somebody else claimed in vain is looked at again, or would wait for ever.
func TestAskIsLookedAtAgain(t *testing.T) {
	b := New(Options{})
	t.Cleanup(b.Close)
	a, _ := b.Enter(Request{Worker: "w", Types: []string{"a"}, Limit: 2, Lease: time.Minute, Wait: time.Minute})
	if a.Begin() != 2 || a.Give(nil) {
		t.Error("nobody passed it by")
	}
	if a.Begin() != 2 || a.Begin() != 0 || !a.Give(nil) {
		t.Error("it was passed by, and is not looked at again")
	}
}

func isOutcome(err error, kind sdk.OutcomeKind) bool {
	return err != nil && sdk.OutcomeOf(context.Background(), sdk.Result{}, err).Kind == kind
}
