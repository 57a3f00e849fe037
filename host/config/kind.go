package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// fileKind is what a file configures.
type fileKind string

const (
	serverFile fileKind = "server"
	workerFile fileKind = "worker"
)

// ownKeys are what stands in a file of each kind and in no other.
var ownKeys = map[fileKind][]string{
	serverFile: {"listen", "drain_timeout", "cancel_grace", "task_type"},
	workerFile: {"name", "labels", "queue"},
}

// other says that the file is one of the other kind, and what to do with it; nil if anything
// in it is of its own.
func (k fileKind) other(body hcl.Body, name string) *hcl.Diagnostic {
	syntax, ok := body.(*hclsyntax.Body)
	if !ok {
		return nil
	}
	at := map[string]hcl.Range{}
	for _, b := range slices.Backward(syntax.Blocks) {
		at[b.Type] = b.DefRange()
	}
	for key, a := range syntax.Attributes {
		at[key] = a.NameRange
	}
	for _, key := range slices.Sorted(maps.Keys(at)) {
		if slices.Contains(ownKeys[k], key) {
			return nil
		}
	}
	other, check, run := workerFile, "config validate --worker", "worker --config"
	if k == workerFile {
		other, check, run = serverFile, "config validate", "server --config"
	}
	for _, key := range ownKeys[other] {
		where, ok := at[key]
		if !ok {
			continue
		}
		if strings.ContainsAny(name, " \t'\"$\\") {
			name = "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
		}
		return &hcl.Diagnostic{Severity: hcl.DiagError, Subject: &where, Summary: fmt.Sprintf("This is the config of a %s", other),
			Detail: fmt.Sprintf("%q belongs to a %s, and this is read as the config of a %s. Check it with\n\n  taskhost %s %s\n\nand run it with\n\n  taskhost %s %s",
				key, other, k, check, name, run, name)}
	}
	return nil
}
