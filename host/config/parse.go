package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/taskhost/taskhost/host/task"
)

// Error is all that is wrong with a file, each with line and snippet.
type Error struct {
	text string
	// Places are where the faults are, in order.
	Places []Place
}

// Place is one fault.
type Place struct {
	Line, Column int
	Summary      string
	Detail       string
}

func (e *Error) Error() string { return e.text }

// parse reads the file over c. Of what the environment or a flag will replace
// (over) only the form is checked.
func (c *Config) parse(name string, src []byte, over map[string]bool) error {
	d := &decoder{note: c.note}
	return d.file(name, src, func(body hcl.Body) {
		content := d.body(body, "", blocks("executor", "task_type"), map[string]setter{
			"listen": address(&c.Listen), "data_dir": text(&c.DataDir), "plugin_dir": text(&c.PluginDir),
			"log_level": enum(&c.LogLevel, logLevels), "log_format": enum(&c.LogFormat, logFormats),
			"drain_timeout": duration(&c.DrainTimeout), "cancel_grace": duration(&c.CancelGrace), "plugin_env": texts(&c.PluginEnv),
			"allow_writable_plugins": truth(&c.AllowWritablePlugins),
		})
		if a := content.Attributes["listen"]; a != nil && c.Listen != "" && !over["listen"] && !IsLoopback(c.Listen) {
			d.fault(a.Expr.Range(), "Open to others", "Listen is not a loopback address: "+onlyLoopback+".")
		}
		if c.Executors = d.executors(content); len(c.Executors) == 0 {
			c.standIn()
		}
		for _, b := range content.Blocks.OfType("task_type") {
			c.Types = append(c.Types, d.taskType(b, c.Executors))
		}
		d.unique(content.Blocks, "task_type")
	})
}

// standIn is what a newcomer wants: an executor for the built-in scripts.
func (c *Config) standIn() {
	c.Executors = []task.ExecutorConfig{{Name: "local", Plugin: "eventlet-style", OnHostExit: "die"}}
	c.note("executor.local.plugin", "eventlet-style", "default")
}

// LoadWorker reads a worker's config.
func LoadWorker(name string, src []byte) (*Worker, error) {
	w := &Worker{LogLevel: "info", LogFormat: "text", PluginDir: pluginDir()}
	d := &decoder{note: func(string, string, string) {}}
	err := d.file(name, src, func(body hcl.Body) {
		content := d.body(body, "", append(blocks("executor"), hcl.BlockHeaderSchema{Type: "queue"}), map[string]setter{
			"name": text(&w.Name), "labels": textMap(&w.Labels), "data_dir": text(&w.DataDir), "plugin_dir": text(&w.PluginDir),
			"log_level": enum(&w.LogLevel, logLevels), "log_format": enum(&w.LogFormat, logFormats), "plugin_env": texts(&w.PluginEnv),
			"allow_writable_plugins": truth(&w.AllowWritablePlugins),
		})
		w.Executors = d.executors(content)
		queues := content.Blocks.OfType("queue")
		switch {
		case len(queues) != 1:
			d.fault(body.MissingItemRange(), "One queue block is needed", "A worker takes its attempts from one queue: queue { url = \"nats://…\" } or queue { join = \"DATA_DIR\" }.")
		default:
			w.Queue = d.attributes(queues[0].Body, "queue")
		}
		if w.Name == "" {
			d.fault(body.MissingItemRange(), "A worker needs a name", "Set name = \"…\": it is how operators see the worker.")
		}
		if len(w.Executors) == 0 {
			d.fault(body.MissingItemRange(), "A worker needs an executor", "Add a block such as executor \"local\" { plugin = \"eventlet-style\" }.")
		}
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

func blocks(types ...string) []hcl.BlockHeaderSchema {
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
	if fault := tooMuch(name, src); fault != nil {
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
	sort.SliceStable(d.diags, func(i, j int) bool { return at(d.diags[i]) < at(d.diags[j]) })
	var b bytes.Buffer
	e := &Error{}
	if err := hcl.NewDiagnosticTextWriter(&b, files, 100, false).WriteDiagnostics(d.diags); err != nil {
		return errors.Join(err, d.diags)
	}
	for _, x := range d.diags {
		pl := Place{Summary: x.Summary, Detail: x.Detail}
		if x.Subject != nil {
			pl.Line, pl.Column = x.Subject.Start.Line, x.Subject.Start.Column
		}
		e.Places = append(e.Places, pl)
	}
	e.text = fmt.Sprintf("%s has %d %s\n\n%s", name, len(d.diags), plural("error", len(d.diags)), strings.TrimSpace(b.String()))
	return e
}

func at(d *hcl.Diagnostic) int {
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
		d.note(join(path, name), display(v), place(attr.Range))
	}
	return content
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

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
		d.note(join(path, name), display(v), place(attr.Range))
	}
	data, err := json.Marshal(out)
	if err != nil {
		d.fault(b.MissingItemRange(), "Not a config", err.Error())
	}
	return data
}

// unique refuses a second block of one name.
func (d *decoder) unique(all hcl.Blocks, typ string) {
	seen := map[string]hcl.Range{}
	for _, b := range all.OfType(typ) {
		if first, ok := seen[b.Labels[0]]; ok {
			d.fault(b.DefRange, fmt.Sprintf("A second %s %q", typ, b.Labels[0]), fmt.Sprintf("The first is at %s; give this one another name.", place(first)))
			continue
		}
		seen[b.Labels[0]] = b.DefRange
	}
}

// display is a value as config show prints it.
func display(v cty.Value) string {
	if v.Type() == cty.String && !v.IsNull() && v.IsKnown() {
		return v.AsString()
	}
	data, err := marshal(v)
	if err != nil {
		return "?"
	}
	return string(data)
}

// marshal is v in JSON. A number that no float64 holds is refused: 1e999999999 is
// eleven bytes in the file and a gigabyte in JSON.
func marshal(v cty.Value) ([]byte, error) {
	err := cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		if e.IsNull() || !e.IsKnown() || e.Type() != cty.Number {
			return true, nil
		}
		f := e.AsBigFloat()
		if x, _ := f.Float64(); math.IsInf(x, 0) || x == 0 && f.Sign() != 0 {
			return false, errors.New("a number in it is out of range")
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return ctyjson.Marshal(v, v.Type())
}
