package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// blocks are the README's fenced blocks of a language, in order.
func blocks(t *testing.T, lang string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+lang+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// block is the only one that contains a text.
func block(t *testing.T, lang, with string) string {
	t.Helper()
	for _, b := range blocks(t, lang) {
		if strings.Contains(b, with) {
			return b
		}
	}
	t.Fatalf("README.md has no %s block with %q", lang, with)
	return ""
}

// sh runs README commands as they stand, but for where things are on a test's machine.
func sh(t *testing.T, s *server, dir, commands string) string {
	t.Helper()
	addr, err := os.ReadFile(filepath.Join(s.data(), "address"))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimSpace(string(addr))
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(commands, "127.0.0.1:7070", at))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TASKHOST_ADDR="+at)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// withBin is a folder where bin/ is what the tests have built.
func withBin(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(built(t), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReadmeFirstTask(t *testing.T) {
	s := newServer(t, "", "")
	s.start()
	out := sh(t, s, withBin(t), block(t, "sh", "task submit sleep"))
	for _, want := range []string{"6.5", `"result":"15.0"`, `{"slept":5}`, "canceled"} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands printed nothing with %q:\n%s", want, out)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestReadmePlugin(t *testing.T) {
	code, err := os.ReadFile("../../examples/hello-plugin/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if block(t, "go", "package main") != string(code) {
		t.Error("the plugin in README.md is not examples/hello-plugin/main.go")
	}
	config := block(t, "sh", "hello.hcl")
	config = config[strings.Index(config, "executor"):strings.Index(config, "EOF\nbin")]
	s := newServer(t, "", config)
	s.start()
	if out := sh(t, s, withBin(t), block(t, "sh", "submit greet")); !strings.Contains(out, "Hello, world!") {
		t.Errorf("the plugin's task printed %s", out)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
