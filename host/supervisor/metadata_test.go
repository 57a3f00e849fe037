package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A plugin that is only asked gets no config, and nothing of it is left; one that does not
// come up says why.
func TestMetadata(t *testing.T) {
	r := newRig(t)
	x := task.ExecutorConfig{Name: "x", Plugin: r.serving("good"), Config: []byte(`{"refuse": "no"}`)}
	m, err := r.sup.Metadata(t.Context(), x, filepath.Join(t.TempDir(), "x"))
	if err != nil || m.Version != "1.2.3" || !slices.Equal(m.Types, []string{"pid"}) || len(m.ConfigSchema) == 0 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, dir := range []string{r.sup.copyDir, r.sup.recordDir, r.sup.socketDir} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", dir, left, err)
		}
	}
	_, err = r.sup.Metadata(t.Context(), task.ExecutorConfig{Name: "x", Plugin: r.script("dies", "echo no fuel >&2; exit 3")}, "")
	if err == nil {
		t.Fatal("a plugin that dies has metadata")
	}
	contains(t, err.Error(), "exited with status 3", "no fuel")
	if _, err = r.sup.Metadata(t.Context(), task.ExecutorConfig{Name: "x", Plugin: "none"}, ""); err == nil {
		t.Error("a plugin that is not there has metadata")
	}
}

// The host's own check of a config comes before the plugin's, and its word is the state.
func TestCheckedConfig(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.ConfigDir = "/etc/taskhost"
		o.CheckConfig = func(x task.ExecutorConfig, m sdk.Metadata) error {
			if x.Name == "bad" && len(m.ConfigSchema) > 0 {
				return errors.New("refuze is not known here; did you mean \"refuse\"?")
			}
			return nil
		}
	})
	e := r.start(task.ExecutorConfig{Name: "bad", Plugin: r.serving("good"), Config: []byte(`{"refuze": "x"}`)})
	contains(t, r.until(e, task.ExecutorQuarantined).Reason, "config refused", `did you mean "refuse"?`)
	e = r.start(task.ExecutorConfig{Name: "good", Plugin: "good", Config: []byte(`{"die_if": "nowhere"}`)})
	r.ready(e)
	if dir := get[string](r, e, "config_path", struct{}{}); dir != "/etc/taskhost/nowhere" {
		t.Errorf("a relative path is %s", dir)
	}
}
