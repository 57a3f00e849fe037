package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkPlugin runs plugin check, and gives its exit code and what it printed.
func checkPlugin(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(built(t), "taskhost"), append([]string{"plugin", "check"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// A plugin is found by its name in plugin_dir, gets the config of an executor block, and runs a task.
func TestPluginCheck(t *testing.T) {
	t.Parallel()
	plugins := filepath.Join(built(t), "plugins")
	config := filepath.Join(t.TempDir(), "taskhost.hcl")
	text := "plugin_dir = \"" + plugins + "\"\nexecutor \"images\" {\n  plugin = \"import\"\n  config {\n    images_dir = \"images\"\n  }\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"hello", "--plugin-dir", plugins, "--type", "greet", "--input", `{"name": "you"}`},
		{"import", "--config", config, "--executor", "images"},
	} {
		code, out, stderr := checkPlugin(t, args...)
		if code != exitOK || strings.Contains(out, "failed ") || strings.Count(out, "\n") != 13 {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out, stderr)
		}
		if args[0] == "hello" && !strings.Contains(out, "passed   run                       succeeded") {
			t.Errorf("no task was run:\n%s", out)
		}
	}
}

// What fails is counted, and what cannot be tried has an exit code of its own.
func TestPluginCheckFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "plugin")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := checkPlugin(t, file, "-o", "json")
	var report struct {
		Plugin string
		Checks []struct{ Name, Result, Message string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if code != exitFault || report.Plugin != "plugin" || len(report.Checks) != 13 || report.Checks[0].Result != "failed" ||
		!strings.Contains(report.Checks[0].Message, "chmod +x "+file) || report.Checks[1].Result != "skipped" {
		t.Errorf("exit code %d, %+v", code, report)
	}
	if !strings.Contains(stderr, "1 of 13 checks failed") {
		t.Errorf("stderr: %s", stderr)
	}
	if err := os.Chmod(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, out, _ = checkPlugin(t, "plugin", "--plugin-dir", dir); code != exitFault || !strings.Contains(out, `printed "hello" where the handshake belongs`) {
		t.Errorf("exit code %d\n%s", code, out)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"plug", "--plugin-dir", dir}, exitNotFound, "plugin_dir " + dir + " has plugin"},
		{[]string{filepath.Join(dir, "plug")}, exitNotFound, "it is no file"},
		{[]string{"eventlet-style"}, exitUsage, "is built in"},
		{[]string{file, "--block", "{"}, exitUsage, "--block is not JSON"},
		{[]string{file, "--executor", "x"}, exitUsage, `no executor "x"`},
		{[]string{file, "--executor", "x", "--block", "{}"}, exitUsage, "give one of them"},
		{[]string{file, "--type", "greet", "--input", "{"}, exitUsage, "--input is not JSON"},
	} {
		if code, _, stderr := checkPlugin(t, c.args...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit code %d, want %d; %s", c.args, code, c.code, stderr)
		}
	}
}
