package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func workerTable() tableFormat[api.Worker] {
	return tableFormat[api.Worker]{
		header: []string{"NAME", "EXECUTOR", "STATE", "SLOTS", "LAST SEEN", "TYPES", "LABELS"},
		name:   func(w api.Worker) string { return w.Name },
		cells: func(w api.Worker) []string {
			return []string{w.Name, w.Executor, w.State, slotText(w.Slots), lastSeen(w), typesText(w), labelText(w.Labels)}
		},
	}
}

func lastSeen(w api.Worker) string {
	if w.LastSeen == nil {
		return "-"
	}
	return age(*w.LastSeen) + " ago"
}

// typesText are the types that a worker offers, each with its version if it tells one.
func typesText(w api.Worker) string {
	var all []string
	for _, name := range w.Types {
		all = append(all, strings.TrimSpace(name+" "+w.TypeVersions[name]))
	}
	return strings.Join(all, ", ")
}

// showWorkers prints the workers of one name whole: the REST body, or the fields of each.
func (p *program) showWorkers(all []api.Worker) error {
	if p.format != formatTable {
		return printList(p, workerTable(), all, api.WorkerList{Workers: all})
	}
	for i, w := range all {
		if i > 0 {
			if _, err := fmt.Fprintln(p.out); err != nil {
				return err
			}
		}
		if err := printFields(p, w, w.Name, []field{
			{"Name", w.Name}, {"Instance", w.Instance}, {"Executor", w.Executor}, {"State", w.State}, {"Address", w.Address}, {"Version", w.Version},
			{"Labels", labelText(w.Labels)}, {"Types", typesText(w)}, {"Slots", slotText(w.Slots)},
			{"Running", strings.Join(w.Running, "\n")}, {"Last seen", lastSeen(w)}}); err != nil {
			return err
		}
	}
	return nil
}

// workerCmd is a worker, and what a client asks of workers.
func (p *program) workerCmd() *cobra.Command {
	c := group("worker", "Run a worker, or ask of the workers behind an executor",
		listCommand(p, "List workers, also those that left within the last hour", workerTable(), (*client.Client).Workers, func(all []api.Worker) any { return api.WorkerList{Workers: all} }),
		getCommand(p, "Show a worker with what it runs", p.completeWorkers(), (*client.Client).Worker, p.showWorkers))
	c.AddCommand(controlCommands(p, workerTable(), p.completeWorkers(), (*client.Client).ControlWorker,
		action{"drain", "Give a worker no more tasks, until it is resumed"}, action{"resume", "Give a drained worker tasks again"})...)
	c.Long = "With --config or TASKHOST_CONFIG, run a worker: take tasks from the broker of a host, and run them on executors of its own.\n" +
		"SIGTERM drains it: what runs gets to finish, what has not started is given back. A second one ends it at once."
	var path string
	var drainTimeout time.Duration
	c.Flags().StringVar(&path, "config", os.Getenv("TASKHOST_CONFIG"), "the worker's config file; runs it (TASKHOST_CONFIG)")
	c.Flags().DurationVar(&drainTimeout, "drain-timeout", 5*time.Minute, "how long what runs may take to finish on SIGTERM")
	runGroup := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		running := firstGiven(c, []string{"config", "drain-timeout"})
		switch {
		case len(args) > 0, path == "" && running == "":
			return runGroup(c, args)
		case path == "":
			return usagef("which worker? --%s runs one: name its config file with --config or TASKHOST_CONFIG", running)
		}
		return p.runWorker(path, drainTimeout)
	}
	return c
}
