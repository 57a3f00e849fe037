package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// SetWaitReason makes t the task as clients see it: a queued one whose executor is not ready
// waits for the executor. Which serves it is config, so this is no stored state.
// Nor is it which limit of its type keeps it, or that its type is paused.
func (g *Registry) SetWaitReason(t *task.Task) {
	if t.State != task.Pending || t.Waiting != task.WaitQueued {
		return
	}
	labels := t.Labels
	g.setWaitReason(t, func(label string) (string, bool) { return labels[label], true })
}

// setWaitReason is SetWaitReason of a task that is queued. value gives its labels.
func (g *Registry) setWaitReason(t *task.Task, value func(label string) (string, bool)) {
	block := g.store.StartBlock(t.Type, t.Owner, value)
	if block.Paused {
		t.Waiting = task.WaitPaused
		t.WaitReason = block.Reason(t.Type)
		if x := g.Serving(t); x != nil {
			t.Executor = x.Name
		}
		return
	}
	x := g.Serving(t)
	if x == nil { // its executor is in the config no more, or nobody offers its type
		t.Executor = t.Pinned
		t.Waiting = task.WaitExecutor
		t.WaitReason = waitReason(t.Pinned, task.ExecutorStatus{}, &sdk.Info{}, want{taskType: t.Type})
		return
	}
	t.Executor = x.Name
	if !x.Ready() || !g.Runs(x, t) {
		t.Waiting = task.WaitExecutor
		t.WaitReason = x.waitReason(want{t.Type, t.Route, g.LimitsOf(t.Type).MinVersion})
		return
	}
	t.WaitReason = block.Reason(t.Type)
}

// want is what a task asks of an executor.
type want struct {
	taskType   string
	route      map[string]string
	minVersion string
}

// waitReason says why the executor does not take a task that wants this.
func (x *Executor) waitReason(w want) string {
	s, o := x.sourceStatus(), x.offer.Load()
	if s.State == task.ExecutorReady {
		x.explain(&s, o)
	}
	switch {
	case o.live && s.State == task.ExecutorDegraded: // it runs what it can
		s.State = task.ExecutorReady
	case !o.live && s.State == task.ExecutorReady:
		s.State, s.Reason = task.ExecutorStarting, "it has not said what it offers"
	}
	return waitReason(x.Name, s, &o.Info, w)
}

// waitReason says to an operator why a task that waits for an executor is not handed
// to it: what the executor is, or what none of its nodes has. executor is "" if none
// serves the type, and its state if it is in the config no more.
func waitReason(executor string, s task.ExecutorStatus, info *sdk.Info, w want) string {
	offered := slices.IndexFunc(info.Types, func(t sdk.TypeInfo) bool { return t.Name == w.taskType })
	switch {
	case executor == "":
		return fmt.Sprintf("no executor offers task type %q", w.taskType)
	case s.State == "":
		return fmt.Sprintf("executor %q is not in the config any more", executor)
	case s.State != task.ExecutorReady:
		return strings.TrimSuffix(fmt.Sprintf("executor %q is %s: %s", executor, s.State, s.Reason), ": ")
	case info.Unavailable != "":
		return fmt.Sprintf("executor %q can run nothing at present: %s", executor, info.Unavailable)
	case offered < 0:
		return fmt.Sprintf("executor %q does not offer task type %q", executor, w.taskType)
	case info.Deferred:
		return nodesReason(executor, info.Nodes, w)
	case info.Types[offered].Unavailable:
		return fmt.Sprintf("executor %q offers task type %q, and nothing serves it at present", executor, w.taskType)
	}
	switch version := info.Types[offered].Version; {
	case sdk.NewEnough(version, w.minVersion):
		return ""
	case version == "":
		return fmt.Sprintf("executor %q offers task type %q without telling its version, and %s or newer is wanted", executor, w.taskType, w.minVersion)
	default:
		return fmt.Sprintf("executor %q offers task type %q in version %s, and %s or newer is wanted", executor, w.taskType, version, w.minVersion)
	}
}

// nodesReason says what keeps every node from a task; "" if one may take it.
func nodesReason(executor string, nodes []sdk.Node, w want) string {
	taskType := w.taskType
	var gone, draining []string
	var lacking map[string]int // how many of the nodes that offer the type lack a label
	offering, newest, old := 0, "", false
	for i := range nodes {
		n := &nodes[i]
		if !slices.Contains(n.Types, taskType) {
			continue
		}
		lacks, version := n.Lacks(w.route), n.TypeVersions[taskType]
		right := len(lacks) == 0 && sdk.NewEnough(version, w.minVersion)
		switch {
		case n.Gone:
			gone = append(gone, n.Name)
			continue
		case right && !n.Draining:
			return ""
		case right:
			draining = append(draining, n.Name)
		case len(lacks) == 0:
			old = true
			if sdk.CompareVersions(version, newest) > 0 {
				newest = version
			}
		}
		offering++
		if lacking == nil {
			lacking = map[string]int{}
		}
		for _, l := range lacks {
			lacking[l]++
		}
	}
	switch {
	case offering == 0 && len(gone) > 0:
		return fmt.Sprintf("no worker of executor %q offers task type %q; gone is %s", executor, taskType, someOf(gone))
	case offering == 0:
		return fmt.Sprintf("no worker of executor %q offers task type %q", executor, taskType)
	case len(draining) > 0:
		return fmt.Sprintf("the workers that could run it are draining: %s", someOf(draining))
	case old:
		return versionReason(executor, newest, w)
	}
	return labelsReason(executor, taskType, lacking, offering)
}

// versionReason says that the nodes are too old that offer the type and have the labels, of
// which the newest is of that version.
func versionReason(executor, newest string, w want) string {
	labels, is := "", "the newest is "+newest
	if len(w.route) > 0 {
		labels = " and has its labels"
	}
	if newest == "" {
		is = "none tells its version"
	}
	return fmt.Sprintf("no worker of executor %q that offers task type %q%s is of version %s or newer; %s", executor, w.taskType, labels, w.minVersion, is)
}

// labelsReason names the labels that no node has which offers the type, or else those that
// none has together. lacking is how many of the offering nodes lack each label.
func labelsReason(executor, taskType string, lacking map[string]int, offering int) string {
	var nowhere, somewhere []string
	for label, n := range lacking {
		if n == offering {
			nowhere = append(nowhere, label)
		} else {
			somewhere = append(somewhere, label)
		}
	}
	if len(nowhere) > 0 {
		return fmt.Sprintf("no worker of executor %q that offers task type %q has the label %s", executor, taskType, someOf(nowhere))
	}
	return fmt.Sprintf("no worker of executor %q that offers task type %q has all of the labels %s at once", executor, taskType, someOf(somewhere))
}

// someOf lists names in order, the first few of many.
func someOf(names []string) string {
	const most = 5
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
