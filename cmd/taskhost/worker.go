package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
)

func workerRows() rows[api.Worker] {
	return rows[api.Worker]{
		header: []string{"NAME", "EXECUTOR", "ADDRESS", "VERSION", "TYPES", "SLOTS", "RUNNING", "STATE", "LAST SEEN"},
		name:   func(w api.Worker) string { return w.Name },
		cells: func(w api.Worker) []string {
			state, seen := "ready", "-"
			if w.Draining {
				state = "draining"
			}
			if w.LastSeen != nil {
				seen = age(*w.LastSeen) + " ago"
			}
			return []string{w.Name, w.Executor, w.Address, w.Version, strings.Join(w.Types, ","), slotText(w.Slots), strconv.Itoa(len(w.Running)), state, seen}
		},
	}
}

// workerCmd is a worker, and what a client asks of workers.
func (p *program) workerCmd() *cobra.Command {
	c := group("worker", "Run a worker, or ask of the workers behind an executor",
		&cobra.Command{Use: "list", Short: "List workers", Args: cobra.NoArgs,
			RunE: p.remote(func(ctx context.Context, c *api.Client, _ []string) error {
				all, err := c.Workers(ctx)
				if err != nil {
					return err
				}
				return list(p, workerRows(), all, api.WorkerList{Workers: all})
			})},
		&cobra.Command{Use: "drain NAME", Short: "Give a worker no more tasks", Args: cobra.ExactArgs(1),
			RunE: p.remote(func(ctx context.Context, c *api.Client, args []string) error {
				w, err := c.DrainWorker(ctx, args[0])
				if err != nil {
					return err
				}
				return list(p, workerRows(), []api.Worker{w}, w)
			})})
	c.Long = "With --config, run a worker: take tasks from the broker of a host, and run them on executors of its own.\n" +
		"SIGTERM drains it: what runs gets to finish, what has not started is given back. A second one ends it at once."
	var path string
	var bound time.Duration
	c.Flags().StringVar(&path, "config", "", "the worker's config file; runs it")
	c.Flags().DurationVar(&bound, "drain-timeout", 5*time.Minute, "how long what runs may take to finish on SIGTERM")
	group := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if path == "" || len(args) > 0 {
			return group(c, args)
		}
		return p.work(path, bound)
	}
	return c
}
