package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// offer is what an executor last said of itself, less what the host refuses of it.
type offer struct {
	Info    sdk.Info
	live    bool // said by this process's executor, not remembered
	types   map[string]offeredType
	refused []string // why some of Info.Types are left out
	placed  []string // the names of types that are its only because config places them there
}

type offeredType struct {
	info   sdk.TypeInfo
	schema *validator
}

// newOffer takes what an executor says. A type that cannot be taken is left out, alone,
// with the reason; a schema that before has compiled is not compiled again.
func newOffer(info sdk.Info, live bool, before *offer) *offer {
	o := &offer{Info: info, live: live, types: map[string]offeredType{}}
	for _, t := range info.Types {
		if !sdk.ValidTypeName(t.Name) {
			o.refuse("task type %q: a type's name has letters, digits, '.', '_' and '-', and begins with a letter", t.Name)
			continue
		}
		if o.has(t.Name) {
			o.refuse("task type %q is offered twice: the first holds", t.Name)
			continue
		}
		if err := t.CheckVersions(); err != nil {
			o.refuse("%v", err)
			continue
		}
		if before != nil && before.has(t.Name) && sameSchemas(before.types[t.Name].info, t) {
			o.types[t.Name] = offeredType{t, before.types[t.Name].schema}
			continue
		}
		v, err := newValidator(t.Name, t.Input)
		if err == nil {
			err = checkResultSchema(t.Name, t.Result)
		}
		if err != nil {
			o.refuse("%v", err)
			continue
		}
		o.types[t.Name] = offeredType{t, v}
	}
	return o
}

// CheckOffer says why types of an executor's offer are left out; nothing if all are taken.
func CheckOffer(info sdk.Info) []string { return newOffer(info, true, nil).refused }

// CheckInput says why an input does not match the schema of its type, as at submit.
func CheckInput(ctx context.Context, t sdk.TypeInfo, input json.RawMessage) error {
	v, err := newValidator(t.Name, t.Input)
	if err != nil {
		return err
	}
	return v.check(ctx, ctx, t.Name, input, v.secrets())
}

func sameSchemas(a, b sdk.TypeInfo) bool {
	return string(a.Input) == string(b.Input) && string(a.Result) == string(b.Result)
}

const maxRefusals = 10 // kept of an offer, to be shown

func (o *offer) refuse(format string, args ...any) {
	if len(o.refused) < maxRefusals {
		o.refused = append(o.refused, fmt.Sprintf(format, args...))
	}
}

// refusal says what of the offer is not in force; "" if all is.
func (o *offer) refusal() string {
	if len(o.refused) == 0 {
		return ""
	}
	return "left out: " + strings.Join(o.refused, "; ")
}

func (o *offer) has(taskType string) bool {
	_, ok := o.types[taskType]
	return ok
}

func (o *offer) names() []string { return slices.Sorted(maps.Keys(o.types)) }

// notLive is the same offer as a memory of it.
func (o *offer) notLive() *offer {
	n := *o
	n.live = false
	return &n
}
