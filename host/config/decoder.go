package config

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func namedBlocks(types ...string) []hcl.BlockHeaderSchema {
	var out []hcl.BlockHeaderSchema
	for _, t := range types {
		out = append(out, hcl.BlockHeaderSchema{Type: t, LabelNames: []string{"name"}})
	}
	return out
}

// decoder gathers faults, tells note of every value, and remembers where each key stands.
type decoder struct {
	source *source
	diags  hcl.Diagnostics
	note   func(key, value, origin string)
}

// file parses the source and lets decode work on it, then gives all faults as one error.
// kind is what the file should be.
func (d *decoder) file(kind fileKind, decode func(hcl.Body)) error {
	name, text := d.source.name, d.source.text
	if fault := checkBounds(name, text); fault != nil {
		d.diags = hcl.Diagnostics{fault}
		return newError(name, nil, d.diags) // its line may be all of the file
	}
	f, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	d.diags = append(d.diags, diags...)
	if f != nil && f.Body != nil && !diags.HasErrors() {
		if other := kind.other(f.Body, name); other != nil {
			d.diags = hcl.Diagnostics{other}
		} else {
			decode(f.Body)
		}
	}
	if !d.diags.HasErrors() {
		return nil
	}
	return newError(name, text, d.diags)
}

func (d *decoder) fault(at hcl.Range, summary, detail string) {
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at})
}

// body reads the attributes for which there are setters; unknown ones are
// faults, with the nearest known one named.
func (d *decoder) body(b hcl.Body, path string, blocks []hcl.BlockHeaderSchema, set map[string]setter) *hcl.BodyContent {
	schema := &hcl.BodySchema{Blocks: blocks}
	for name := range set {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	sort.Slice(schema.Attributes, func(i, j int) bool { return schema.Attributes[i].Name < schema.Attributes[j].Name })
	content, diags := b.Content(schema)
	d.diags = append(d.diags, diags...)
	for name, attr := range content.Attributes {
		v, diags := attr.Expr.Value(nil)
		d.diags = append(d.diags, diags...)
		if diags.HasErrors() {
			continue
		}
		s := set[name]
		if err := s.read(v); err != nil {
			d.fault(attr.Expr.Range(), "Not a value for "+name, strings.ToUpper(name[:1])+name[1:]+" "+err.Error()+".")
			continue
		}
		value := display(v)
		if s.absolute != nil {
			value = *s.absolute
		}
		key := join(path, name)
		d.source.at[key] = attr.Expr.Range()
		d.note(key, value, location(attr.Range))
	}
	return content
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func location(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// attributes reads a block of which the plugin knows the keys, as a JSON object.
func (d *decoder) attributes(b *hcl.Block, path string) json.RawMessage {
	d.source.at[path] = b.DefRange
	attrs, diags := b.Body.JustAttributes()
	d.diags = append(d.diags, diags...)
	out := map[string]json.RawMessage{}
	for name, attr := range attrs {
		d.source.at[join(path, name)] = attr.NameRange
		d.source.addParts(join(path, name), attr.Expr)
		v, diags := attr.Expr.Value(nil)
		d.diags = append(d.diags, diags...)
		if diags.HasErrors() {
			continue
		}
		data, err := marshal(v)
		if err != nil {
			d.fault(attr.Expr.Range(), "Not a value for "+name, "It cannot be given to a plugin: "+err.Error()+".")
			continue
		}
		out[name] = data
		d.note(join(path, name), display(v), location(attr.Range))
	}
	data, err := json.Marshal(out)
	if err != nil {
		d.fault(b.Body.MissingItemRange(), "Not a config", err.Error())
	}
	return data
}

// refuseSecond refuses a second block of one name.
func (d *decoder) refuseSecond(all hcl.Blocks, typ string) {
	seen := map[string]hcl.Range{}
	for _, b := range all.OfType(typ) {
		if first, ok := seen[b.Labels[0]]; ok {
			d.fault(b.DefRange, fmt.Sprintf("A second %s %q", typ, b.Labels[0]), fmt.Sprintf("The first is at %s; give this one another name.", location(first)))
			continue
		}
		seen[b.Labels[0]] = b.DefRange
	}
}
