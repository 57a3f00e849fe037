package host_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// What tasks of one batch cost that have to do with one another, each beside
// BenchmarkHostHundreds.

// inHundreds is the rate of tasks that are submitted a hundred at a time, each as of makes it.
func inHundreds(b *testing.B, h *host.Host, of func(i int64) (task.Scope, task.Spec)) {
	var next atomic.Int64
	perSecond(b, h, 100, func(n int) {
		specs := make([]task.Spec, n)
		var scope task.Scope
		last := next.Add(int64(n))
		for i := range specs {
			scope, specs[i] = of(last - int64(i))
		}
		if _, _, err := h.Tasks().Submit(context.Background(), scope, specs, nil); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkGroup is that of the members of one group.
func BenchmarkGroup(b *testing.B) {
	h := benchHost(b, false)
	g, _, err := h.Tasks().SubmitGroup(b.Context(), host.DefaultScope(), group.Spec{Open: true}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	inHundreds(b, h, func(int64) (task.Scope, task.Spec) {
		return host.DefaultScope(), task.Spec{Type: "noop", Group: g.ID}
	})
}

// BenchmarkResources is that of tasks each of which has one of 1,000 names for itself.
func BenchmarkResources(b *testing.B) {
	inHundreds(b, benchHost(b, false), func(i int64) (task.Scope, task.Spec) {
		return host.DefaultScope(), task.Spec{Type: "noop", Resources: task.Resources{Exclusive: []string{strconv.FormatInt(i%1000, 10)}}}
	})
}

// BenchmarkConcurrency is that of a type of which no more may run at once than there are slots.
func BenchmarkConcurrency(b *testing.B) {
	h := benchHost(b, false)
	spec := task.TypeSpec{Name: "noop", TypeConfig: task.TypeConfig{Concurrency: []task.Concurrency{{Max: 1000}}}}
	if _, _, err := h.Tasks().PutType(b.Context(), host.DefaultScope(), spec); err != nil {
		b.Fatal(err)
	}
	inHundreds(b, h, func(int64) (task.Scope, task.Spec) { return host.DefaultScope(), plainTask })
}

// BenchmarkLanes is that of tasks of 1,000 owners, a hundred of one at a time.
func BenchmarkLanes(b *testing.B) {
	var owners [1000]task.Scope
	for i := range owners {
		owners[i].Owner = "owner-" + strconv.Itoa(i)
	}
	inHundreds(b, benchHost(b, false), func(i int64) (task.Scope, task.Spec) { return owners[i/100%1000], plainTask })
}
