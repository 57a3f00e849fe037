package task

import "slices"

// MaxResources bounds how many names one task may need.
const MaxResources = 64

// Resources are the names that a task needs, of the resources of its owner: it starts once
// it has them all, and has them until it is final. Which is ahead of which is for the
// order of their coming.
type Resources struct {
	Exclusive []string `json:"exclusive,omitempty"` // for itself
	Shared    []string `json:"shared,omitempty"`    // with others that share it
}

// None says that the task needs none.
func (r *Resources) None() bool { return len(r.Exclusive) == 0 && len(r.Shared) == 0 }

// Has says that the task needs the resource of that name.
func (r *Resources) Has(name string) bool {
	return slices.Contains(r.Exclusive, name) || slices.Contains(r.Shared, name)
}

func (r *Resources) check(bad *Faults) {
	if r.None() {
		return
	}
	bad.Check(len(r.Exclusive)+len(r.Shared) <= MaxResources, "exclusive", "has with shared more than %d names", MaxResources)
	for field, names := range map[string][]string{"exclusive": r.Exclusive, "shared": r.Shared} {
		for i, name := range names {
			bad.Check(name != "" && len(name) <= MaxLabel, field, "has a name that is empty or longer than %d bytes", MaxLabel)
			bad.Check(!slices.Contains(names[:i], name), field, "has %q twice", name)
			bad.Check(field != "exclusive" || !slices.Contains(r.Shared, name), field, "has %q, which is in shared too: exclusive is enough", name)
		}
	}
}
