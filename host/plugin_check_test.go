package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host"
)

// A check finds each broken rule, says which it is and what to do, and goes on with the others.
func TestCheckPluginFindsFaults(t *testing.T) {
	binary := filepath.Join(plugin(t, "faulty"), "faulty")
	for _, c := range []struct {
		name  string
		trial host.PluginTrial
		says  map[string]string // by the check that fails
	}{
		{"takes-anything", host.PluginTrial{}, map[string]string{"unknown config key": "refuse what is unknown, by name",
			"unknown task type": "it must fail permanently", "unknown attempt to join": "never be started"}},
		{"offers-nonsense", host.PluginTrial{}, map[string]string{"describe": `"1st"`}},
		{"offers-nothing", host.PluginTrial{}, map[string]string{"describe": "it offers no task type"}},
		{"says-no-json", host.PluginTrial{Type: "work", Input: []byte("1")}, map[string]string{"run": "is not JSON"}},
		{"has-another-input", host.PluginTrial{Type: "work", Input: []byte(`"one"`)}, map[string]string{"run": "a host would refuse the input"}},
		{"has-another-type", host.PluginTrial{Type: "play"}, map[string]string{"run": `it does not offer task type "play"`}},
		{"dies", host.PluginTrial{Type: "work", Input: []byte("1")}, map[string]string{"run": "ended as lost"}},
		{"ignores-cancel", host.PluginTrial{Type: "work", Input: []byte("1"), Patience: 4 * time.Second}, map[string]string{"cancel": "did not end within"}},
		{"is-deaf-to-sigterm", host.PluginTrial{Patience: 2 * time.Second}, map[string]string{"told to stop by SIGTERM": "goes on 2s after SIGTERM"}},
		{"is-bare", host.PluginTrial{Patience: 15 * time.Second}, map[string]string{"told to stop by SIGTERM": "say Draining first",
			"host gone": "after its host has ended"}},
		{"clings", host.PluginTrial{}, map[string]string{"told to stop by its host": "was killed"}},
		{"declares-nonsense", host.PluginTrial{}, map[string]string{"metadata": "it says that it offers \"play\""}},
		{"falls-silent", host.PluginTrial{Watch: 10 * time.Second}, map[string]string{"heartbeat": "does not answer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.trial.Path = filepath.Join(t.TempDir(), c.name)
			if err := os.Link(binary, c.trial.Path); err != nil {
				t.Fatal(err)
			}
			if c.trial.Watch == 0 {
				c.trial.Watch = time.Millisecond
			}
			told := 0
			report, err := host.CheckPlugin(t.Context(), c.trial, func(host.PluginCheck) { told++ })
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, check := range report.Checks {
				if says := c.says[check.Name]; says != "" && check.Result == host.CheckFailed && strings.Contains(check.Message, says) {
					found++
				}
			}
			if found < len(c.says) || told != len(report.Checks) || told != 13 {
				t.Errorf("want failures %q; %d checks told:\n%+v", c.says, told, report.Checks)
			}
		})
	}
}

// What never runs is not tried, and a plugin that keeps the rules passes.
func TestCheckPlugin(t *testing.T) {
	dir := plugin(t, "noop")
	path := filepath.Join(dir, "noop")
	report, err := host.CheckPlugin(t.Context(), host.PluginTrial{Path: path, Type: "noop", Watch: time.Millisecond}, func(host.PluginCheck) {})
	if err != nil || report.Failed() > 0 || report.Version != "bench" || len(report.Info.Types) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err = host.CheckPlugin(t.Context(), host.PluginTrial{Path: path}, func(host.PluginCheck) {})
	if err != nil || report.Failed() != 1 || !strings.Contains(report.Checks[0].Message, "chmod +x") || report.Checks[1].Result != host.CheckSkipped {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
