package supervisor

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Options say where plugins are, and how much patience they get. Zero durations
// and counts mean the defaults.
type Options struct {
	// RunDir is the supervisor's alone: sockets, private copies of binaries and
	// the records by which a later host finds what this one leaves behind. Made
	// with mode 0700. It must allow execution, which /run often does not.
	RunDir string
	// PluginDirs hold the binaries; an earlier one hides the same name in a later.
	PluginDirs []string
	// AllowWritable takes plugins that others than their owner may write, which are
	// refused otherwise.
	AllowWritable bool
	// Builtins are names of plugins that are no files, for errors.
	Builtins []string
	// Log receives the supervisor's lines, and each plugin's under its
	// executor's name. A slow one loses lines; it never holds a plugin up.
	Log hclog.Logger
	// Epoch is the store's; a plugin obeys only the highest it has seen.
	Epoch uint64
	// Env names further variables that plugins may see; a name that ends in *
	// is a prefix. The rest of the host's environment, secrets and all, stays here.
	Env []string
	// CheckConfig says what is wrong with an executor's config, by what its plugin says of
	// itself; it is asked at each start, before the plugin is configured. nil finds nothing.
	CheckConfig func(task.ExecutorConfig, sdk.Metadata) error
	// ConfigDir is the folder against which relative paths in executors' configs are meant.
	ConfigDir string
	// HostURL is where the host's REST can be reached, if it can.
	HostURL string

	// StartTimeout bounds a start, from exec to the plugin's hello. Default 30 s.
	StartTimeout time.Duration
	// DrainTimeout bounds the wait for running attempts when a process is to
	// end. Default 30 s.
	DrainTimeout time.Duration
	// KillAfter is what a process gets to end when asked, before SIGKILL. Default 3 s.
	KillAfter time.Duration
	// Silence is how long a plugin may say nothing before it counts as frozen.
	// Default 5 s.
	Silence time.Duration
	// Grace is what an attempt gets after a cancel. It is told to the plugin.
	Grace time.Duration
	// BackoffMin and BackoffMax bound the wait between restarts, which doubles
	// with each failure. Defaults 200 ms and 30 s.
	BackoffMin, BackoffMax time.Duration
	// QuarantineAfter failures within QuarantineWindow put an executor into
	// quarantine; it is tried again each QuarantineRetry. Defaults 5 in 5 min, 5 min.
	QuarantineAfter  int
	QuarantineWindow time.Duration
	QuarantineRetry  time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.RunDir == "" {
		return o, errors.New("supervisor: no run directory given")
	}
	dir, err := filepath.Abs(o.RunDir)
	if err != nil {
		return o, fmt.Errorf("supervisor: run directory: %w", err)
	}
	o.RunDir = dir
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	for _, d := range []struct {
		v    *time.Duration
		none time.Duration
	}{
		{&o.StartTimeout, 30 * time.Second},
		{&o.DrainTimeout, 30 * time.Second},
		{&o.KillAfter, 3 * time.Second},
		{&o.Silence, 5 * time.Second},
		{&o.BackoffMin, 200 * time.Millisecond},
		{&o.BackoffMax, 30 * time.Second},
		{&o.QuarantineWindow, 5 * time.Minute},
		{&o.QuarantineRetry, 5 * time.Minute},
	} {
		if *d.v <= 0 {
			*d.v = d.none
		}
	}
	o.BackoffMax = max(o.BackoffMin, o.BackoffMax)
	if o.QuarantineAfter <= 0 {
		o.QuarantineAfter = 5
	}
	return o, nil
}
