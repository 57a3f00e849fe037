package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Executors are the executors of a config, made and supervised: those of a host,
// or of a worker, which has no store.
type Executors struct {
	list  []registry.Binding
	sup   *supervisor.Supervisor
	close []io.Closer
}

// OpenExecutors makes the executors that o names. Built-ins are made here and
// now; processes are started in the background. One that cannot be made has its
// fault as its status and is tried again, unless o is Strict. epoch is the store's,
// 1 where there is none; url is where the host's REST is, if anywhere.
func OpenExecutors(o Options, epoch uint64, url string) (_ *Executors, err error) {
	o.Log = readableLog(o.Log)
	if o, err = o.absolute(); err != nil {
		return nil, err
	}
	if o.Strict {
		if err := checkStrictly(o); err != nil {
			return nil, err
		}
	}
	sup, err := supervisor.Open(supervisor.Options{Builtins: o.builtinNames(), AllowWritable: o.AllowWritablePlugins,
		RunDir: filepath.Join(o.DataDir, "run"), PluginDirs: o.PluginDirs, Log: o.Log.Named("plugin"),
		Epoch: epoch, Env: o.PluginEnv, HostURL: url, Grace: o.CancelGrace,
		ConfigDir: o.ConfigDir, CheckConfig: o.checkConfig,
	})
	if err != nil {
		return nil, err
	}
	s := &Executors{sup: sup}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.Background()))
		}
	}()
	blocks, ownBoard := o.blocks()
	for _, b := range blocks {
		x, err := s.open(o, b, url)
		if err != nil && o.Strict {
			return nil, err
		}
		if err != nil {
			o.Log.Error("executor cannot work as it is configured", "executor", b.Name, "error", err)
			u := newUnopened(err)
			x = bind(b, u, u)
		}
		if b.Plugin == board.PluginName && err == nil && !o.NoBoard {
			x = o.bindBoard(x, ownBoard)
		}
		s.list = append(s.list, x)
	}
	return s, nil
}

// readableLog is what Options.Log becomes: nil discards all.
func readableLog(l hclog.Logger) hclog.Logger {
	if l == nil {
		return hclog.NewNullLogger()
	}
	return sdk.ReadableLog(l)
}

// open makes one executor. An error, which names it, means that it can never work as o stands.
func (s *Executors) open(o Options, b task.ExecutorConfig, url string) (registry.Binding, error) {
	dir := filepath.Join(o.DataDir, "executors", b.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return registry.Binding{}, fmt.Errorf("executor %q: %w", b.Name, err)
	}
	p := o.builtin(b.Plugin)
	if p == nil {
		return s.process(b, dir)
	}
	if err := o.checkConfig(b, p.Metadata()); err != nil {
		return registry.Binding{}, fmt.Errorf("executor %q: %w", b.Name, err)
	}
	log := o.Log.Named(b.Name)
	x := newBuiltin(*p, log, func(changed func()) sdk.Config {
		cfg := sdk.NewConfig(b.Name, b.Config, changed)
		cfg.DataDir, cfg.Dir, cfg.HostURL, cfg.Slots, cfg.Log = dir, o.ConfigDir, url, b.Slots, log
		return cfg
	})
	if err := x.open(); err != nil {
		if o.Strict {
			return registry.Binding{}, fmt.Errorf("executor %q: %w", b.Name, err)
		}
		x.tryAgain()
	}
	s.close = append(s.close, x)
	return bind(b, x, x), nil
}

// checkConfig says what is wrong with an executor's config by what its plugin says of that,
// with the places.
func (o Options) checkConfig(x task.ExecutorConfig, m sdk.Metadata) error {
	var faults []string
	for _, p := range CheckBlock(context.Background(), "executor."+x.Name+".config", "", m.ConfigSchema, x.Config) {
		faults = append(faults, o.at(p.Key)+strings.TrimSuffix(p.Detail, "."))
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}

func bind(b task.ExecutorConfig, x sdk.Executor, s registry.Source) registry.Binding {
	return registry.Binding{Name: b.Name, Plugin: b.Plugin, Slots: b.Slots, Executor: x, Source: s}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *Executors) process(b task.ExecutorConfig, dir string) (registry.Binding, error) {
	x, err := s.sup.Start(b, dir)
	if err != nil {
		return registry.Binding{}, err
	}
	out := bind(b, x, x)
	out.Process = x
	return out, nil
}

// All are the executors in the config's order.
func (s *Executors) All() []registry.Binding { return s.list }

// Close drains and ends the processes and closes built-ins that can be.
func (s *Executors) Close(ctx context.Context) error {
	var errs []error
	if s.sup != nil {
		errs = append(errs, s.sup.Close(ctx))
	}
	for _, c := range s.close {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
