package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
)

// loadWorker reads a worker's config, and what of it the queue's plugin understands.
func (p *program) loadWorker(ctx context.Context, path string) (*config.Worker, remotequeue.WorkerOptions, []config.Problem, error) {
	var o remotequeue.WorkerOptions
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, o, nil, fmt.Errorf("config: %w", err)
	}
	cfg, err := config.LoadWorker(path, src)
	if err != nil {
		return nil, o, nil, err
	}
	o.Name = cfg.Name
	o.Labels = cfg.Labels
	o.Version = version()
	if cfg.Version != "" {
		o.Version = cfg.Version
		o.TypeVersion = cfg.Version
	}
	var problems []config.Problem
	if err := o.CheckName(); err != nil {
		problems = append(problems, config.Problem{Key: "name", Summary: "Not a name for a worker", Detail: sentence(err)})
	}
	const notAQueue = "Not a queue"
	faults := host.CheckBlock(ctx, "queue", notAQueue, remotequeue.QueueSchema(), cfg.Queue)
	if len(faults) == 0 {
		if err = o.ParseQueue(cfg.Queue, cfg.Dir()); err == nil {
			err = o.CheckQueue()
		}
		if err != nil {
			faults = []config.Problem{{Key: "queue", Summary: notAQueue, Detail: sentence(err)}}
		}
	}
	return cfg, o, append(problems, faults...), nil
}

// sentence is an error's text as a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// validateWorker says what is wrong with a worker's config.
func (p *program) validateWorker(ctx context.Context, c *cobra.Command, path string, ask bool) (summary string, v verdict, err error) {
	if name := firstGiven(c, []string{"listen", "data-dir", "plugin-dir", "log-level"}); name != "" {
		return "", v, usagef("--%s lays nothing over the config of a worker", name)
	}
	if path == "" {
		return "", v, usagef("which file? config validate --worker FILE")
	}
	cfg, _, problems, err := p.loadWorker(ctx, path)
	if err != nil {
		return "", v, err
	}
	o := host.FromWorker(cfg)
	o.Builtins = p.builtins
	v, err = judge(ctx, &cfg.Common, o, ask, problems...)
	return fmt.Sprintf("worker %q, %s", cfg.Name, counted(len(cfg.Executors), "executor")), v, err
}
