package config

import (
	"fmt"
	"math"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/taskhost/taskhost/host/task"
)

// quotaKey begins the keys of quotas.
const quotaKey = "quota."

func quotaSetters(q *task.Quota) map[string]setter {
	return map[string]setter{
		"waiting": orUnlimited(&q.Waiting, count(&q.Waiting, 1, math.MaxInt32)),
		"running": orUnlimited(&q.Running, count(&q.Running, 1, math.MaxInt32)),
		"bytes":   orUnlimited(&q.Bytes, sizeUpTo(&q.Bytes, task.MaxQuotaBytes, "is a size such as \"500MiB\" or \"10GiB\", or a number of bytes")),
	}
}

// orUnlimited also reads the word that lifts a bound.
func orUnlimited(to *int64, s setter) setter {
	read := s.read
	s.is += ", or \"unlimited\""
	s.read = func(v cty.Value) error {
		if v.Type() == cty.String && !v.IsNull() && v.IsKnown() && v.AsString() == "unlimited" {
			*to = task.Unlimited
			return nil
		}
		if read(v) != nil {
			return s.bad()
		}
		return nil
	}
	return s
}

// withoutBlocks takes the blocks of a type out of a body. HCL's own schema wants as many labels
// of each, and these may have one or none.
func withoutBlocks(body hcl.Body, typ string) (rest hcl.Body, blocks []*hcl.Block) {
	syntax, ok := body.(*hclsyntax.Body)
	if !ok {
		return body, nil
	}
	other := *syntax
	other.Blocks = nil
	for _, b := range syntax.Blocks {
		if b.Type == typ {
			blocks = append(blocks, b.AsHCLBlock())
		} else {
			other.Blocks = append(other.Blocks, b)
		}
	}
	return &other, blocks
}

// quotas reads the quota blocks: one for each owner, and those of some.
func (d *decoder) quotas(blocks []*hcl.Block, to *task.Quotas) {
	seen := map[string]hcl.Range{}
	for _, b := range blocks {
		owner, name := "", "quota"
		switch {
		case len(b.Labels) > 1:
			d.fault(b.LabelRanges[1], "A quota of two owners", "A quota block has the name of one owner, or none and is for each of them.")
			continue
		case len(b.Labels) == 1:
			owner = b.Labels[0]
			name = fmt.Sprintf("quota %q", owner)
			if owner == "" || len(owner) > task.MaxOwner {
				d.fault(b.LabelRanges[0], "Not the name of an owner", fmt.Sprintf("An owner's name has 1 to %d bytes.", task.MaxOwner))
				continue
			}
		}
		if first, ok := seen[owner]; ok {
			d.fault(b.DefRange, "A second "+name, fmt.Sprintf("The first is at %s.", location(first)))
			continue
		}
		seen[owner] = b.DefRange
		path := "quota"
		if owner != "" {
			path = quotaKey + owner
		}
		var q task.Quota
		d.source.at[path] = b.DefRange
		d.body(b.Body, path, nil, quotaSetters(&q))
		if all, diags := b.Body.JustAttributes(); len(all) == 0 && !diags.HasErrors() {
			d.fault(b.DefRange, "A quota of nothing", "Set one of waiting, running and bytes.")
		}
		if owner == "" {
			to.Default = q
			continue
		}
		if to.Owners == nil {
			to.Owners = map[string]task.Quota{}
		}
		to.Owners[owner] = q
	}
}
