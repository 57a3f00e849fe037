package remotequeue

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
	info := sdk.Info{Deferred: true, Outlives: true, ControlsNodes: true, Slots: f.cfg.Slots, Unavailable: f.unavailable()}
	if info.Slots == 0 {
		info.Slots = defaultSlots
	}
	served := make(map[string]bool)
	byReference := f.rest != ""
	for _, w := range f.workers {
		if w.known && !f.draining(w) {
			for _, typ := range w.types {
				served[typ] = true
			}
		}
		byReference = byReference && !w.beat.Unreachable
	}
	info.Nodes = f.nodes()
	for _, name := range slices.Sorted(maps.Keys(f.known)) {
		t := f.known[name].TypeInfo
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
func (f *fleet) draining(w *worker) bool {
	_, told := f.drained[w.peer.name]
	return told || w.beat.Draining
}

// nodes are the workers that are here, those that left not long ago, and those that
// are drained wherever they are. f.mu is held.
func (f *fleet) nodes() (out []sdk.Node) {
	runs := make(map[peer][]string)
	for _, a := range f.attempts {
		if a.phase == running {
			runs[a.peer] = append(runs[a.peer], a.id)
		}
	}
	here := make(map[string]bool)
	for p, w := range f.workers {
		if w.known {
			here[p.name] = true
			n := f.node(w)
			n.Running = runs[p]
			out = append(out, n)
		}
	}
	for name, g := range f.gone {
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

// node is w as it was last heard, without what it runs. f.mu is held.
func (f *fleet) node(w *worker) sdk.Node {
	n := sdk.Node{Name: w.peer.name, Instance: w.peer.instance, Address: w.about.Address, Version: w.about.Version,
		Types: slices.Clone(w.types), Slots: w.about.Slots, Used: w.beat.Used, Labels: w.about.Labels,
		Draining: f.draining(w), LastSeen: w.at}
	if len(w.about.TypeSlots) > 0 {
		n.TypeSlots = maps.Clone(w.about.TypeSlots)
	}
	return n
}

// goneWorker is one that left.
type goneWorker struct {
	node sdk.Node
	left time.Time
}

// leave takes a worker out, and keeps it to be shown if it was the last of its name.
// f.mu is held.
func (f *fleet) leave(w *worker) {
	delete(f.workers, w.peer)
	for p := range f.workers {
		if p.name == w.peer.name {
			return
		}
	}
	n := f.node(w)
	n.Gone, n.Used = true, 0
	f.gone[n.Name] = goneWorker{n, time.Now()}
	if len(f.gone) > maxGone {
		oldest := slices.MinFunc(slices.Collect(maps.Values(f.gone)), func(a, b goneWorker) int { return a.left.Compare(b.left) })
		delete(f.gone, oldest.node.Name)
	}
}

// forgetGone drops those that left long ago. f.mu is held.
func (f *fleet) forgetGone(now time.Time) (changed bool) {
	for name, g := range f.gone {
		if now.Sub(g.left) > keepGone {
			delete(f.gone, name)
			changed = true
		}
	}
	return changed
}

// ControlNode does "drain" to the workers of that name: they take nothing more, and
// finish what they run. It holds until "resume", also for one that is away, and over
// restarts of the worker and of the host. Info.Nodes shows how far they are.
func (f *fleet) ControlNode(_ context.Context, node, action string) error {
	if action != "drain" && action != "resume" {
		return fmt.Errorf("%w: %q; drain and resume are", sdk.ErrUnknownAction, action)
	}
	f.drainMu.Lock()
	defer f.drainMu.Unlock()
	f.mu.Lock()
	known := slices.ContainsFunc(f.nodes(), func(n sdk.Node) bool { return n.Name == node })
	drained := maps.Clone(f.drained)
	f.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: executor %q has no worker %q", sdk.ErrUnknownNode, f.cfg.Executor, node)
	}
	if action == "drain" {
		drained[node] = struct{}{}
	} else {
		delete(drained, node)
	}
	if err := f.saveDrained(drained); err != nil {
		return err
	}
	f.mu.Lock()
	f.drained = drained
	for p, w := range f.workers {
		if p.name == node {
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
		err = writeWhole(f.drainedPath(), append(data, '\n'))
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
		if workerName.MatchString(name) {
			f.drained[name] = struct{}{}
		}
	}
}
