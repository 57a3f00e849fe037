package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The types of TypeScript that are generated from the document of the running program are
// such that a client of them compiles, and refuses to where it should, and the client gets
// what they say.
func TestTypeScriptClient(t *testing.T) {
	modules, err := filepath.Abs("../../tools/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	bin := func(name string) string { return filepath.Join(modules, ".bin", name) }
	for _, tool := range []string{bin("openapi-typescript"), bin("tsc"), "node"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs npm's packages of tools/package.json, which make check installs: ", err)
		}
	}
	s := newServer(t, "", "")
	s.start()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/typescript")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	status, doc, err := s.call("GET", "/openapi.json", "")
	if err != nil || status != 200 {
		t.Fatal(status, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), doc, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
		}
		return string(out)
	}
	run(bin("openapi-typescript"), "openapi.json", "--output", "api.d.ts")
	run(bin("tsc"), "--project", ".")
	const want = `submitted 200 true succeeded "6.5" a
false
listed sum 1 no error true
input undefined
refused 422 422 /type
missed not_found false
reset true
event true nothing running true
event true running succeeded true
`
	if got := run("node", "client.js", "http://"+s.addr()); got != want {
		t.Errorf("the client prints\n%swant\n%s", got, want)
	}
}
