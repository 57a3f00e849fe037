package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func workerRows() rows[api.Worker] {
	return rows[api.Worker]{
		header: []string{"NAME", "EXECUTOR", "INSTANCE", "ADDRESS", "VERSION", "LABELS", "TYPES", "SLOTS", "RUNNING", "STATE", "LAST SEEN"},
		name:   func(w api.Worker) string { return w.Name },
		cells: func(w api.Worker) []string {
			return []string{w.Name, w.Executor, w.Instance[:min(8, len(w.Instance))], w.Address, w.Version, labelText(w.Labels), strings.Join(w.Types, ","),
				slotText(w.Slots), strconv.Itoa(len(w.Running)), w.State, lastSeen(w)}
		},
	}
}

func lastSeen(w api.Worker) string {
	if w.LastSeen == nil {
		return "-"
	}
	return age(*w.LastSeen) + " ago"
}

// showWorkers prints the workers of one name whole: the REST body, or the fields of each.
func (p *program) showWorkers(all []api.Worker) error {
	if p.format != formatTable {
		return list(p, workerRows(), all, api.WorkerList{Workers: all})
	}
	for i, w := range all {
		if i > 0 {
			if _, err := fmt.Fprintln(p.out); err != nil {
				return err
			}
		}
		if err := show(p, w, w.Name, []pair{
			{"Name", w.Name}, {"Instance", w.Instance}, {"Executor", w.Executor}, {"State", w.State}, {"Address", w.Address}, {"Version", w.Version},
			{"Labels", labelText(w.Labels)}, {"Types", strings.Join(w.Types, ", ")}, {"Slots", slotText(w.Slots)},
			{"Running", strings.Join(w.Running, "\n")}, {"Last seen", lastSeen(w)}}); err != nil {
			return err
		}
	}
	return nil
}

// workerCmd is a worker, and what a client asks of workers.
func (p *program) workerCmd() *cobra.Command {
	c := group("worker", "Run a worker, or ask of the workers behind an executor",
		&cobra.Command{Use: "list", Short: "List workers, also those that left within the last hour", Args: cobra.NoArgs,
			RunE: p.remote(func(ctx context.Context, c *client.Client, _ []string) error {
				all, err := c.Workers(ctx)
				if err != nil {
					return err
				}
				return list(p, workerRows(), all, api.WorkerList{Workers: all})
			})},
		&cobra.Command{Use: "get NAME", Short: "Show a worker with what it runs", Args: cobra.ExactArgs(1),
			RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
				all, err := c.Worker(ctx, args[0])
				if err != nil {
					return err
				}
				return p.showWorkers(all)
			})})
	for _, v := range []struct{ verb, short string }{
		{"drain", "Give a worker no more tasks, until it is resumed"}, {"resume", "Give a drained worker tasks again"},
	} {
		c.AddCommand(&cobra.Command{Use: v.verb + " NAME", Short: v.short, Args: cobra.ExactArgs(1),
			RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
				w, err := c.ControlWorker(ctx, args[0], v.verb)
				if err != nil {
					return err
				}
				return list(p, workerRows(), []api.Worker{w}, w)
			})})
	}
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
