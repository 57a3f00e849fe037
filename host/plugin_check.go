package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// PluginTrial says which plugin CheckPlugin tries, and how.
type PluginTrial struct {
	// Path is the plugin's file, absolute.
	Path string
	// Config are the attributes of an executor's config block, as one JSON object.
	Config json.RawMessage
	// ConfigDir is the folder against which relative paths in it are meant.
	ConfigDir string
	// Type and Input are a task that is run twice, once to its end and once to be
	// canceled; without a type none is.
	Type  string
	Input json.RawMessage
	// Timeout bounds that task; 0 means a minute.
	Timeout time.Duration
	// Patience is for what a plugin should do at once; 0 means 30 seconds.
	Patience time.Duration
	// Watch is how long the plugin must stay connected; 0 means seven seconds, which is
	// longer than one may be silent.
	Watch time.Duration
	// AllowWritable and Env are as in a host's Options.
	AllowWritable bool
	Env           []string
	// Log receives what the plugin prints; nil for nobody.
	Log hclog.Logger
}

// CheckResult is what became of one check.
type CheckResult string

// The results of a check.
const (
	CheckPassed  CheckResult = "passed"
	CheckFailed  CheckResult = "failed"
	CheckSkipped CheckResult = "skipped"
)

// PluginCheck is one rule of the protocol that a host can see kept or broken.
type PluginCheck struct {
	Name    string      `json:"name"`
	Result  CheckResult `json:"result"`
	Message string      `json:"message"` // what was seen, or why nothing was tried
}

// PluginReport is what a trial found.
type PluginReport struct {
	Version string        `json:"version,omitempty"` // as the plugin says
	Info    *sdk.Info     `json:"info,omitempty"`    // nil if it was not told
	Checks  []PluginCheck `json:"checks"`
}

// Failed is how many checks failed.
func (r *PluginReport) Failed() int {
	failed := 0
	for _, c := range r.Checks {
		if c.Result == CheckFailed {
			failed++
		}
	}
	return failed
}

// CheckPlugin starts the plugin as a server would and tries what can be tried on any plugin,
// whatever it does: it tells of each check when it is done. Its error is none of the
// plugin's; what is wrong with that is in the report.
//
// It takes some ten seconds, most of them to see that the plugin stays connected.
func CheckPlugin(ctx context.Context, trial PluginTrial, tell func(PluginCheck)) (*PluginReport, error) {
	dir, err := os.MkdirTemp("", "taskhost-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, d := range []struct {
		v    *time.Duration
		none time.Duration
	}{{&trial.Timeout, time.Minute}, {&trial.Patience, 30 * time.Second}, {&trial.Watch, 7 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.none
		}
	}
	if trial.Log == nil {
		trial.Log = hclog.NewNullLogger()
	}
	c := &pluginChecker{trial: trial, dir: dir}
	c.sup, err = supervisor.Open(supervisor.Options{RunDir: filepath.Join(dir, "run"), PluginDirs: []string{filepath.Dir(trial.Path)},
		AllowWritable: trial.AllowWritable, Env: trial.Env, ConfigDir: trial.ConfigDir, Epoch: 1, Log: trial.Log})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.sup.Close(context.Background()) }() // what it says is in the report
	c.run(ctx, tell)
	return &c.report, ctx.Err()
}

// pluginChecker is one trial.
type pluginChecker struct {
	trial  PluginTrial
	dir    string
	sup    *supervisor.Supervisor
	exec   *supervisor.Executor // nil until the plugin was started
	report PluginReport
}

// skipped is why a check was not tried.
type skipped string

func (s skipped) Error() string { return string(s) }

// run tries one thing after another. Without a plugin that runs there is nothing to try.
func (c *pluginChecker) run(ctx context.Context, tell func(PluginCheck)) {
	for _, check := range []struct {
		name string
		try  func(context.Context) (string, error)
	}{
		{"file", c.file},
		{"start", c.start},
		{"describe", c.describe},
		{"metadata", c.metadata},
		{"unknown config key", c.unknownKey},
		{"unknown task type", c.unknownType},
		{"unknown attempt to join", c.unknownAttempt},
		{"run", c.runTask},
		{"cancel", c.cancelTask},
		{"heartbeat", c.heartbeat},
		{"told to stop by SIGTERM", c.terminate},
		{"told to stop by its host", c.end},
		{"host gone", c.orphan},
	} {
		if ctx.Err() != nil {
			return
		}
		var said string
		err := error(skipped("the plugin does not run"))
		if c.exec != nil || c.report.Failed() == 0 {
			said, err = check.try(ctx)
		}
		done := PluginCheck{Name: check.name, Result: CheckPassed, Message: said}
		if why := skipped(""); errors.As(err, &why) {
			done.Result, done.Message = CheckSkipped, err.Error()
		} else if err != nil {
			done.Result, done.Message = CheckFailed, err.Error()
		}
		c.report.Checks = append(c.report.Checks, done)
		tell(done)
	}
}

func (c *pluginChecker) file(context.Context) (string, error) {
	info, err := os.Stat(c.trial.Path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("it is no regular file")
	case info.Mode()&0o111 == 0:
		return "", fmt.Errorf("it has no run bit: chmod +x %s", c.trial.Path)
	}
	found, err := supervisor.Find([]string{filepath.Dir(c.trial.Path)})
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(found, func(f supervisor.Found) bool { return f.Path == c.trial.Path })
	if i < 0 {
		return "", errors.New("a plugin's name does not begin with a dot")
	}
	if found[i].Writable != nil && !c.trial.AllowWritable {
		return "", found[i].Writable
	}
	sum, err := supervisor.Checksum(c.trial.Path)
	return "sha256 " + sum, err
}

// launch starts an executor with this config and waits until it is ready, or surely never will be.
func (c *pluginChecker) launch(ctx context.Context, name string, config json.RawMessage) (*supervisor.Executor, error) {
	exec, err := c.sup.Start(task.ExecutorConfig{Name: name, Plugin: filepath.Base(c.trial.Path), Config: config}, filepath.Join(c.dir, name))
	if err != nil {
		return nil, err
	}
	for {
		switch st := exec.Status(); st.State {
		case task.ExecutorReady:
			return exec, nil
		case task.ExecutorStarting:
		default:
			_ = exec.Stop(ctx)
			return nil, errors.New(st.LastError)
		}
		select {
		case <-exec.Changed():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *pluginChecker) start(ctx context.Context) (string, error) {
	began := time.Now()
	exec, err := c.launch(ctx, "check", c.trial.Config)
	if err != nil {
		return "", err
	}
	c.exec, c.report.Version = exec, exec.Status().Version
	return fmt.Sprintf("version %s, ready after %s", c.report.Version, time.Since(began).Round(time.Millisecond)), nil
}

func (c *pluginChecker) describe(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.trial.Patience)
	defer cancel()
	info, err := c.exec.Describe(ctx)
	if err != nil {
		return "", err
	}
	c.report.Info = &info
	refused := registry.CheckOffer(info)
	switch {
	case len(refused) > 0:
		return "", errors.New(strings.Join(refused, "; "))
	case info.Slots < 0 || info.MaxInput < 0 || info.MaxResult < 0:
		return "", fmt.Errorf("limits must not be negative: slots %d, max_input %d, max_result %d", info.Slots, info.MaxInput, info.MaxResult)
	case len(info.Types) == 0 && info.Unavailable == "" && len(info.Nodes) == 0 && !info.Deferred:
		return "", errors.New("it offers no task type, and does not say why (unavailable)")
	}
	names := []string{}
	for _, t := range info.Types {
		names = append(names, t.Name)
	}
	if info.Unavailable != "" {
		names = append(names, "(unavailable: "+info.Unavailable+")")
	}
	return "offers " + strings.Join(names, ", "), nil
}

// metadata: what the plugin says before it has a config holds for what it makes of one.
func (c *pluginChecker) metadata(ctx context.Context) (string, error) {
	m, err := c.sup.Metadata(ctx, task.ExecutorConfig{Name: "metadata", Plugin: filepath.Base(c.trial.Path)}, filepath.Join(c.dir, "metadata"))
	if err != nil {
		return "", err
	}
	if m.ConfigSchema == nil {
		return "", skipped("it declares no schema of its config, by which `config validate` could check one")
	}
	faults, err := registry.CheckConfig(ctx, m.ConfigSchema, c.trial.Config)
	switch {
	case err != nil:
		return "", err
	case len(faults) > 0:
		return "", fmt.Errorf("the schema that it declares refuses the config that it takes: %s", faultText(faults[0]))
	}
	for _, name := range m.Types {
		if c.report.Info != nil && !slices.ContainsFunc(c.report.Info.Types, func(t sdk.TypeInfo) bool { return t.Name == name }) {
			return "", fmt.Errorf("it says that it offers %q whatever its config, and does not offer it", name)
		}
	}
	return "declares the schema of its config", nil
}

// unknownKey: a typo in the config must not leave a default in force.
func (c *pluginChecker) unknownKey(ctx context.Context) (string, error) {
	const key = "no_such_key_in_any_config"
	config := map[string]json.RawMessage{}
	if len(c.trial.Config) > 0 {
		if err := json.Unmarshal(c.trial.Config, &config); err != nil {
			return "", fmt.Errorf("the config is not a JSON object: %w", err)
		}
	}
	config[key] = json.RawMessage("true")
	wrong, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	exec, err := c.launch(ctx, "check-config", wrong)
	switch {
	case err == nil:
		_ = exec.Stop(ctx)
		return "", fmt.Errorf("a config with the key %s is taken: refuse what is unknown, by name", key)
	case !strings.Contains(err.Error(), sdk.ErrConfigRefused.Error()):
		return "", fmt.Errorf("a config with an unknown key is not refused with INVALID_ARGUMENT: %w", err)
	case !strings.Contains(err.Error(), key):
		return "", fmt.Errorf("a config with the key %s is refused, and the key is not named: %w", key, err)
	}
	return "is refused by its name", nil
}

// deferred says that the executor hands attempts on, as far as it has described itself.
func (c *pluginChecker) deferred() bool { return c.report.Info != nil && c.report.Info.Deferred }

func (c *pluginChecker) unknownType(ctx context.Context) (string, error) {
	if c.deferred() {
		return "", skipped("an executor that hands attempts on may keep it until someone knows the type")
	}
	o, err := c.attempt(ctx, newAttempt("no.such.type", nil), c.trial.Patience, false)
	switch {
	case err != nil:
		return "", err
	case o.Kind != sdk.OutcomeFailed || !o.Permanent:
		return "", fmt.Errorf("an attempt at a type that it does not offer %s: it must fail permanently, since no retry cures it", describeOutcome(o))
	}
	return describeOutcome(o), nil
}

// unknownAttempt: what another process began must not be begun again. The type is none, so
// that a plugin which does not care runs nothing.
func (c *pluginChecker) unknownAttempt(ctx context.Context) (string, error) {
	t := newAttempt("no.such.type", nil)
	t.Rejoin = true
	o, err := c.attempt(ctx, t, c.trial.Patience, false)
	switch {
	case err != nil:
		return "", err
	case o.Kind == sdk.OutcomeReleased && c.deferred():
	case o.Kind != sdk.OutcomeLost:
		return "", fmt.Errorf("an attempt that this process does not know %s: with rejoin it must be lost, and never be started", describeOutcome(o))
	}
	return describeOutcome(o), nil
}
