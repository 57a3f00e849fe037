package config

import (
	"bytes"
	"encoding/json"
	"errors"
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

// decoder gathers faults, and tells note of every value.
type decoder struct {
	diags hcl.Diagnostics
	note  func(key, value, origin string)
}

// file parses src and lets decode work on it, then gives all faults as one error.
func (d *decoder) file(name string, src []byte, decode func(hcl.Body)) error {
	files := map[string]*hcl.File{name: {Bytes: src}}
	if fault := checkBounds(name, src); fault != nil {
		d.diags = hcl.Diagnostics{fault}
		files = nil // its line may be all of the file
	} else {
		f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
		d.diags = append(d.diags, diags...)
		if f != nil && f.Body != nil && !diags.HasErrors() {
			files[name] = f
			decode(f.Body)
		}
	}
	if !d.diags.HasErrors() {
		return nil
	}
	sort.SliceStable(d.diags, func(i, j int) bool { return offsetOf(d.diags[i]) < offsetOf(d.diags[j]) })
	var b bytes.Buffer
	e := &Error{}
	if err := hcl.NewDiagnosticTextWriter(&b, files, 100, false).WriteDiagnostics(d.diags); err != nil {
		return errors.Join(err, d.diags)
	}
	for _, x := range d.diags {
		pl := Place{Summary: x.Summary, Detail: x.Detail}
		if x.Subject != nil {
			pl.Line = x.Subject.Start.Line
			pl.Column = x.Subject.Start.Column
		}
		e.Places = append(e.Places, pl)
	}
	e.text = fmt.Sprintf("%s has %d %s\n\n%s", name, len(d.diags), plural("error", len(d.diags)), strings.TrimSpace(b.String()))
	return e
}

func offsetOf(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return 0
	}
	return d.Subject.Start.Byte
}

func plural(s string, n int) string {
	if n == 1 {
		return s
	}
	return s + "s"
}

func (d *decoder) fault(at hcl.Range, summary, detail string) {
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at})
}

// body reads the attributes of one block by their setters; unknown ones are
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
		if err := set[name](v); err != nil {
			d.fault(attr.Expr.Range(), "Not a value for "+name, strings.ToUpper(name[:1])+name[1:]+" "+err.Error()+".")
			continue
		}
		d.note(join(path, name), display(v), location(attr.Range))
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
func (d *decoder) attributes(b hcl.Body, path string) json.RawMessage {
	attrs, diags := b.JustAttributes()
	d.diags = append(d.diags, diags...)
	out := map[string]json.RawMessage{}
	for name, attr := range attrs {
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
		d.fault(b.MissingItemRange(), "Not a config", err.Error())
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
