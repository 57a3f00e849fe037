package main

import (
	"context"
	"strconv"
	"strings"

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

// workerCmd holds what a client asks of workers.
func (p *program) workerCmd() *cobra.Command {
	return group("worker", "The workers behind executors that hand tasks on",
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
}
