package config

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Error is all that is wrong with a config, each with line and snippet where it is from a
// file.
type Error struct {
	text string
	// Places are where the faults are, in order.
	Places []Place
}

// Place is one fault.
type Place struct {
	Line, Column int // 0 where it is not in the file
	Summary      string
	Detail       string
	Warning      bool // the config works, and perhaps not as it was meant
}

func (e *Error) Error() string { return e.text }

// OnlyWarnings says that the config works all the same.
func (e *Error) OnlyWarnings() bool {
	return !slices.ContainsFunc(e.Places, func(p Place) bool { return !p.Warning })
}

// Problem is what is wrong with a config and not to be seen in it alone: that takes its
// plugins.
type Problem struct {
	Key     string // as Show has it, such as executor.local.config.pool_size
	Summary string
	Detail  string // sentences: what is wrong, and what to do
	Warning bool   // the config works, and perhaps not as it was meant
}

// Explain is the problems as an operator reads them, those in the file with line and snippet;
// nil if there are none.
func (c *Common) Explain(problems []Problem) *Error {
	if len(problems) == 0 {
		return nil
	}
	var diags hcl.Diagnostics
	for _, p := range problems {
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: p.Summary, Detail: p.Detail, Subject: c.source.find(p.Key)}
		if p.Warning {
			d.Severity = hcl.DiagWarning
		}
		if origin := c.Place(p.Key); d.Subject == nil && origin != "" {
			d.Detail += " It is set by " + origin + "."
		}
		diags = append(diags, d)
	}
	name := c.source.name
	if name == "" {
		name = "the config"
	}
	return newError(name, c.source.text, diags)
}

// Place is where a key is set: in the file, as file:line, it or what holds it, or else by
// what flag or variable; "" if it is not.
func (c *Common) Place(key string) string {
	if r := c.source.find(key); r != nil {
		return location(*r)
	}
	if origin := c.origins[key]; origin != byDefault {
		return origin
	}
	return ""
}

// newError makes one error of all that is wrong in the file of that name, in the file's order.
func newError(name string, text []byte, diags hcl.Diagnostics) *Error {
	sort.SliceStable(diags, func(i, j int) bool { return offsetOf(diags[i]) < offsetOf(diags[j]) })
	files := map[string]*hcl.File{}
	if text != nil {
		files[name] = &hcl.File{Bytes: text}
	}
	var b bytes.Buffer
	// Lines are left as they are: a command that was broken is no use when copied. Nothing fails
	// to be written here.
	_ = hcl.NewDiagnosticTextWriter(&b, files, 0, false).WriteDiagnostics(diags)
	e := &Error{}
	warnings := 0
	for _, x := range diags {
		p := Place{Summary: x.Summary, Detail: x.Detail, Warning: x.Severity == hcl.DiagWarning}
		if p.Warning {
			warnings++
		}
		if x.Subject != nil {
			p.Line = x.Subject.Start.Line
			p.Column = x.Subject.Start.Column
		}
		e.Places = append(e.Places, p)
	}
	var counts []string
	if n := len(diags) - warnings; n > 0 {
		counts = append(counts, plural("error", n))
	}
	if warnings > 0 {
		counts = append(counts, plural("warning", warnings))
	}
	e.text = fmt.Sprintf("%s has %s\n\n%s", name, strings.Join(counts, " and "), strings.TrimSpace(b.String()))
	return e
}

func offsetOf(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return -1
	}
	return d.Subject.Start.Byte
}

func plural(s string, n int) string {
	if n == 1 {
		return "1 " + s
	}
	return fmt.Sprintf("%d %ss", n, s)
}
