package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// docs/config.md is what the program says of its keys.
func TestReferencePageIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if code := run([]string{"config", "reference", "--markdown"}, builtins(), nil, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	if !bytes.Equal(page, out.Bytes()) {
		t.Error("docs/config.md is not what `taskhost config reference` says: run make generate")
	}
}

// The reference fits a terminal of 80 columns, and explains each key of the built-ins.
func TestReferenceOnATerminal(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := run([]string{"config", "reference"}, builtins(), nil, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	p := &program{builtins: builtins()}
	keys, err := p.reference()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.About == "" {
			t.Errorf("%s of plugin %q is not explained: give its field a jsonschema tag", k.Path, k.Plugin)
		}
	}
}
