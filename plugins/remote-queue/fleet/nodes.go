package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/files"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

const (
	// defaultSlots is how many attempts are out at once where the operator does not
	// say: what waits in the broker is at hand when a worker is free.
	defaultSlots = 1000
	// keepGone is how long a worker that left is shown, and maxGone how many are.
	keepGone = time.Hour
	maxGone  = 1000
)

// Describe is what the workers offer together: types that no worker serves at
// present are among it, marked as unavailable.
func (f *fleet) Describe(context.Context) (sdk.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info := sdk.Info{Deferred: true, Outlives: true, ControlsNodes: true, Slots: f.cfg.Slots, Unavailable: f.unavailableReason()}
	if info.Slots == 0 {
		info.Slots = defaultSlots
	}
	served := make(map[string]bool)
	byReference := f.restURL != ""
	for _, w := range f.workers {
		if w.described && !f.draining(w) {
			for _, typ := range w.types {
				served[typ] = true
			}
		}
		byReference = byReference && !w.lastHeartbeat.Unreachable
	}
	info.Nodes = f.describeNodes()
	for _, name := range slices.Sorted(maps.Keys(f.knownTypes)) {
		t := f.knownTypes[name].TypeInfo
		t.Unavailable = !served[name]
		info.Types = append(info.Types, t)
	}
	if !byReference {
		info.MaxInput, info.MaxResult = int64(f.maxStart()), int64(f.maxMessage())
	}
	return info, nil
}

// draining says that w takes nothing more: it says so itself, or was told to.
// f.mu is held.
func (f *fleet) draining(w *remoteWorker) bool {
	_, told := f.drained[w.peer.Name]
	return told || w.lastHeartbeat.Draining
}

// describeNodes are the workers that are here, those that left not long ago, and those that
// are drained wherever they are. f.mu is held.
func (f *fleet) describeNodes() (out []sdk.Node) {
	runs := make(map[wire.Peer][]string)
	for _, a := range f.attempts {
		if a.phase == running {
			runs[a.peer] = append(runs[a.peer], a.id)
		}
	}
	here := make(map[string]bool)
	for p, w := range f.workers {
		if w.described {
			here[p.Name] = true
			n := f.describeNode(w)
			n.Running = runs[p]
			out = append(out, n)
		}
	}
	for name, g := range f.goneWorkers {
		if !here[name] {
			here[name] = true
			n := g.node
			_, n.Draining = f.drained[name]
			out = append(out, n)
		}
	}
	for name := range f.drained {
		if !here[name] {
			out = append(out, sdk.Node{Name: name, Draining: true, Gone: true})
		}
	}
	slices.SortFunc(out, func(a, b sdk.Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Instance, b.Instance))
	})
	return out
}

// describeNode is w as it was last heard, without what it runs. f.mu is held.
func (f *fleet) describeNode(w *remoteWorker) sdk.Node {
	n := sdk.Node{Name: w.peer.Name, Instance: w.peer.Instance, Address: w.info.Address, Version: w.info.Version,
		Types: slices.Clone(w.types), Slots: w.info.Slots, Used: w.lastHeartbeat.Used, Labels: w.info.Labels,
		Draining: f.draining(w), LastSeen: w.heardTime, TypeVersions: w.versions}
	if len(w.info.TypeSlots) > 0 {
		n.TypeSlots = maps.Clone(w.info.TypeSlots)
	}
	return n
}

// removeWorker takes a worker out, and keeps it to be shown if it was the last of its name.
// f.mu is held.
func (f *fleet) removeWorker(w *remoteWorker) {
	delete(f.workers, w.peer)
	f.describeAnew(w)
	for p := range f.workers {
		if p.Name == w.peer.Name {
			return
		}
	}
	n := f.describeNode(w)
	n.Gone = true
	n.Used = 0
	f.goneWorkers[n.Name] = goneWorker{n, time.Now()}
	if len(f.goneWorkers) > maxGone {
		oldest := slices.MinFunc(slices.Collect(maps.Values(f.goneWorkers)), func(a, b goneWorker) int { return a.leftAt.Compare(b.leftAt) })
		delete(f.goneWorkers, oldest.node.Name)
	}
}

// forgetGoneWorkers drops those that left long ago. f.mu is held.
func (f *fleet) forgetGoneWorkers(now time.Time) (changed bool) {
	for name, g := range f.goneWorkers {
		if now.Sub(g.leftAt) > keepGone {
			delete(f.goneWorkers, name)
			changed = true
		}
	}
	return changed
}

// ControlNode does "drain" to the workers of that name: they take nothing more, and
// finish what they run. It holds until "resume", also for one that is away, and over
// restarts of the worker and of the host. Info.Nodes shows how far they are.
// ErrNodeUnchanged if the name is drained already, or was not.
func (f *fleet) ControlNode(_ context.Context, node, action string) error {
	if action != "drain" && action != "resume" {
		return fmt.Errorf("%w: %q; drain and resume are", sdk.ErrUnknownAction, action)
	}
	f.drainedMu.Lock()
	defer f.drainedMu.Unlock()
	f.mu.Lock()
	known := slices.ContainsFunc(f.describeNodes(), func(n sdk.Node) bool { return n.Name == node })
	drained := maps.Clone(f.drained)
	f.mu.Unlock()
	_, told := drained[node]
	switch {
	case !known:
		return fmt.Errorf("%w: executor %q has no worker %q", sdk.ErrUnknownNode, f.cfg.Executor, node)
	case action == "drain" && told:
		return fmt.Errorf("%w: it is drained already; resume gives it attempts again", sdk.ErrNodeUnchanged)
	case action == "resume" && !told:
		return fmt.Errorf("%w: no operator has drained it", sdk.ErrNodeUnchanged)
	case action == "drain":
		drained[node] = struct{}{}
	default:
		delete(drained, node)
	}
	if err := f.saveDrained(drained); err != nil {
		return err
	}
	f.mu.Lock()
	f.drained = drained
	for p, w := range f.workers {
		if p.Name == node {
			f.sendOffer(w) // unheard, it is sent again after the next heartbeat
		}
	}
	f.mu.Unlock()
	f.cfg.Changed()
	return nil
}

func (f *fleet) drainedPath() string { return filepath.Join(f.cfg.DataDir, "drained.json") }

// saveDrained writes down which workers an operator drained. drainMu is held.
func (f *fleet) saveDrained(drained map[string]struct{}) error {
	data, err := json.Marshal(slices.Sorted(maps.Keys(drained)))
	if err == nil {
		err = files.Replace(f.drainedPath(), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep which workers are drained: %w", err)
	}
	return nil
}

// loadDrained reads which workers an operator drained. A damaged file does not stop
// the host: a worker that takes tasks again can be drained again.
func (f *fleet) loadDrained() {
	data, err := os.ReadFile(f.drainedPath())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var names []string
	if err == nil {
		err = json.Unmarshal(data, &names)
	}
	if err != nil {
		f.log.Error("which workers were drained cannot be read: they take tasks again until they are drained anew",
			"file", f.drainedPath(), "error", err)
		return
	}
	for _, name := range names {
		if wire.CheckWorkerName(name) == nil {
			f.drained[name] = struct{}{}
		}
	}
}
