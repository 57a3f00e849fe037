package registry

import (
	"maps"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// placeOnDemand gives the executors that are on demand the types that config places on
// them; g.mu is held.
func (g *Registry) placeOnDemand() {
	for _, x := range g.executors {
		if !x.OnDemand {
			continue
		}
		for {
			before := x.offer.Load()
			after := g.withPlaced(before, x)
			if after == before || x.offer.CompareAndSwap(before, after) {
				break // else it was refreshed meanwhile
			}
		}
	}
}

// withPlaced is an offer with the types that config places on its executor and that it does
// not offer by itself: as another executor describes them, or with any input.
func (g *Registry) withPlaced(o *offer, x *Executor) *offer {
	var placed []string
	for name, c := range *g.config.Load() {
		if c.Executor == x.Name && (!o.has(name) || slices.Contains(o.placed, name)) && sdk.ValidTypeName(name) {
			placed = append(placed, name)
		}
	}
	if len(placed) == 0 && len(o.placed) == 0 {
		return o
	}
	n := *o
	n.types = maps.Clone(o.types)
	for _, name := range o.placed {
		delete(n.types, name)
	}
	n.placed = placed
	for _, name := range placed {
		n.types[name] = offeredType{info: sdk.TypeInfo{Name: name}}
		for _, other := range g.executors {
			if t, ok := other.offer.Load().types[name]; ok && !other.OnDemand {
				n.types[name] = t
				break
			}
		}
	}
	return &n
}

// OnDemand are the executors that are on demand, in the config's order.
func (g *Registry) OnDemand() (out []*Executor) {
	for _, x := range g.executors {
		if x.OnDemand {
			out = append(out, x)
		}
	}
	return out
}

// CheckDemand says of types that somebody asks for which of them no executor that is on
// demand offers: unknown_type.
func (g *Registry) CheckDemand(types []string) error {
	offered := map[string]bool{}
	for _, x := range g.OnDemand() {
		for name := range x.offer.Load().types {
			offered[name] = true
		}
	}
	for _, name := range types {
		if !offered[name] {
			e := task.Errorf(task.CodeUnknownType, "no board offers task type %q; boards offer: %s", name, strings.Join(slices.Sorted(maps.Keys(offered)), ", "))
			e.Fields = []task.FieldError{{Path: []string{"types"}, Message: "has a type that no board offers"}}
			return e
		}
	}
	return nil
}
