package remotequeue

import (
	"fmt"
	"os"

	"github.com/taskhost/taskhost/sdk"
)

// Plugin is the executor that hands attempts to workers behind a broker. It keeps
// what workers once offered in its data directory, so that their types stay known
// while they are away. The executors it makes have a Close method, which ends the
// embedded broker; attempts that run on workers go on.
func Plugin(version string) sdk.Plugin {
	return sdk.Plugin{Name: "remote-queue", Version: version, New: New, Check: check}
}

// check reads a block and the files it names, and neither listens nor connects.
func check(cfg sdk.Config) error {
	c, err := parseConfig(cfg)
	if err != nil {
		return err
	}
	if c.URL == "" {
		_, err = serverTLS(&c)
	} else {
		_, err = clientOptions(c.credentials())
	}
	if err != nil {
		return fmt.Errorf("config of executor %q: %w", cfg.Executor, err)
	}
	return nil
}

// New makes an executor of one block of config. A broker at url need not be there
// yet; an embedded one must be able to start.
func New(cfg sdk.Config) (sdk.Executor, error) {
	c, err := parseConfig(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.DataDir == "" {
		return nil, fmt.Errorf("executor %q: remote-queue needs a data directory", cfg.Executor)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("executor %q: %w", cfg.Executor, err)
	}
	return open(cfg, c, func(c hostConnection, e hostEvents) (hostBroker, error) { return connectHost(c, e) })
}

// NewWorker checks the options. Run does the rest.
func NewWorker(o WorkerOptions) (*Worker, error) {
	return newWorker(o, func(c workerConnection, e workerEvents) (workerBroker, error) { return connectWorker(c, e) })
}
