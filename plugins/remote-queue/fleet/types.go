package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
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
	// keepTypes is how long a type stays known that no worker offers: longer than
	// workers are away for a holiday, and not for ever.
	keepTypes = 7 * 24 * time.Hour
	// maxTypes bounds the types of all workers together, present and past, and
	// maxTypesBytes their schemas and descriptions.
	maxTypes      = 2000
	maxTypesBytes = 16 << 20
	// saveTypesEvery is how old the times in the file get while nothing else changes.
	saveTypesEvery = time.Hour
)

// rememberTypes keeps what w offers, as far as there is room. Of workers with several
// versions of a type it is the newest that describes it. f.mu is held.
func (f *fleet) rememberTypes(w *remoteWorker, types []sdk.TypeInfo) (changed bool) {
	now, before, full := time.Now(), w.types, false
	versions := w.versions
	w.types = make([]string, 0, len(types))
	w.versions = make(map[string]string)
	for _, t := range types {
		t.Unavailable = false
		old, ok := f.knownTypes[t.Name]
		if ok && (sameType(old.TypeInfo, t) || f.newerIsHere(w, &t)) {
			old.LastOffered = now
			w.addType(old.Name, t.Version) // that name's string, which all share
			continue
		}
		fresh := &knownType{TypeInfo: t, LastOffered: now}
		if full = full || !f.makeRoomForType(fresh); full {
			f.log.Error("a worker's type is left out: the workers of this executor offer too many types, or too large ones",
				"type", t.Name, "worker", w.peer.Name, "most_types", maxTypes, "most_bytes", maxTypesBytes)
			continue
		}
		if ok {
			f.log.Info("a worker describes a type anew: its word holds from now on", "type", t.Name, "worker", w.peer.Name)
		}
		f.knownTypes[t.Name], f.typesUnsaved, changed = fresh, true, true
		w.addType(fresh.Name, t.Version)
	}
	return changed || !slices.Equal(before, w.types) || !maps.Equal(versions, w.versions)
}

// addType notes a type that the worker offers. fleet.mu is held.
func (w *remoteWorker) addType(name, version string) {
	w.types = append(w.types, name)
	if version != "" {
		w.versions[name] = version
	}
}

// newerIsHere says whether another worker offers a newer version of t than w does. f.mu is
// held.
func (f *fleet) newerIsHere(w *remoteWorker, t *sdk.TypeInfo) bool {
	for _, other := range f.workers {
		if other != w && sdk.CompareVersions(other.versions[t.Name], t.Version) > 0 {
			return true
		}
	}
	return false
}

// describeAnew has those describe themselves anew who offer an older version of what w offered,
// which is gone: of those that are left the newest is heard. f.mu is held.
func (f *fleet) describeAnew(w *remoteWorker) {
	for p, other := range f.workers {
		if slices.ContainsFunc(other.types, func(name string) bool { return sdk.CompareVersions(other.versions[name], w.versions[name]) < 0 }) {
			f.queueItem(p, &wire.Item{Kind: wire.KindDescribe})
		}
	}
}

// makeRoomForType says whether t may be kept, and forgets for it what nobody needs. f.mu is held.
func (f *fleet) makeRoomForType(t *knownType) bool {
	count, size := 1, wire.TypeSize(&t.TypeInfo)
	for name, have := range f.knownTypes {
		if name != t.Name {
			count, size = count+1, size+wire.TypeSize(&have.TypeInfo)
		}
	}
	fits := func() bool { return count <= maxTypes && size <= maxTypesBytes }
	if fits() {
		return true
	}
	for _, old := range f.unneededTypes() {
		if old.Name == t.Name {
			continue
		}
		delete(f.knownTypes, old.Name)
		if count, size = count-1, size-wire.TypeSize(&old.TypeInfo); fits() {
			return true
		}
	}
	return false
}

// unneededTypes are the types that no present worker offers and no attempt is of, those
// that were offered last at the end. f.mu is held.
func (f *fleet) unneededTypes() []*knownType {
	needed := make(map[string]bool)
	for _, w := range f.workers {
		for _, name := range w.types {
			needed[name] = true
		}
	}
	for _, a := range f.attempts {
		needed[a.lane.Type] = true
	}
	var out []*knownType
	for name, t := range f.knownTypes {
		if !needed[name] {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *knownType) int {
		return cmp.Or(a.LastOffered.Compare(b.LastOffered), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// forgetTypes drops the types that nobody needed for keepTypes. f.mu is held.
func (f *fleet) forgetTypes(now time.Time) (changed bool) {
	for _, w := range f.workers {
		for _, name := range w.types {
			f.knownTypes[name].LastOffered = now
		}
	}
	for _, t := range f.unneededTypes() {
		if now.Sub(t.LastOffered) > keepTypes {
			f.log.Info("no worker has offered the type for long: it is forgotten", "type", t.Name, "last_offered", t.LastOffered)
			delete(f.knownTypes, t.Name)
			changed = true
		}
	}
	f.typesUnsaved = f.typesUnsaved || changed
	return changed
}

func sameType(a, b sdk.TypeInfo) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

func (f *fleet) typesPath() string { return filepath.Join(f.cfg.DataDir, "types.json") }

// loadTypes reads what earlier workers offered. The file is a cache: without it the
// workers tell their types again.
func (f *fleet) loadTypes() {
	data, err := os.ReadFile(f.typesPath())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var list []*knownType
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		f.log.Warn("what workers offered before cannot be read; they will tell it again", "file", f.typesPath(), "error", err)
		return
	}
	for _, t := range list {
		if t == nil || !sdk.ValidTypeName(t.Name) || !f.makeRoomForType(t) {
			continue
		}
		if t.LastOffered.IsZero() || t.LastOffered.After(time.Now()) {
			t.LastOffered = time.Now()
		}
		f.knownTypes[t.Name] = t
	}
}

// saveTypes writes them down if they changed, or if the times on file are old. Only
// watch calls it.
func (f *fleet) saveTypes() {
	f.mu.Lock()
	now := time.Now()
	if !f.typesUnsaved && (now.Sub(f.typesSaved) < saveTypesEvery || len(f.knownTypes) == 0) {
		f.mu.Unlock()
		return
	}
	f.typesUnsaved = false
	f.typesSaved = now
	list := make([]knownType, 0, len(f.knownTypes))
	for _, name := range slices.Sorted(maps.Keys(f.knownTypes)) {
		list = append(list, *f.knownTypes[name])
	}
	f.mu.Unlock()
	data, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		err = files.Replace(f.typesPath(), data)
	}
	if err != nil {
		f.log.Error("the workers' types could not be kept: while no worker serves them, a restart forgets them", "error", err)
	}
}
