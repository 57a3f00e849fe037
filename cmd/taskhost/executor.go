package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func executorRows() rows[api.Executor] {
	return rows[api.Executor]{
		header: []string{"NAME", "PLUGIN", "VERSION", "STATE", "SLOTS", "TYPES", "REASON"},
		name:   func(e api.Executor) string { return e.Name },
		cells: func(e api.Executor) []string {
			return []string{e.Name, e.Plugin, e.Version, string(e.State), slotText(e.Slots), strings.Join(e.Types, ","), orDash(e.Reason)}
		},
	}
}

func slotText(s api.Slots) string { return fmt.Sprintf("%d/%d", s.Used, s.Max) }

func (p *program) executorCmd() *cobra.Command {
	cmd := group("executor", "What runs tasks",
		&cobra.Command{Use: "list", Short: "List executors", Args: cobra.NoArgs,
			RunE: p.remote(func(ctx context.Context, c *client.Client, _ []string) error {
				all, err := c.Executors(ctx)
				if err != nil {
					return err
				}
				return list(p, executorRows(), all, api.ExecutorList{Executors: all})
			})},
		&cobra.Command{Use: "get NAME", Short: "Show an executor with its processes", Args: cobra.ExactArgs(1),
			RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
				e, err := c.Executor(ctx, args[0])
				if err != nil {
					return err
				}
				return p.showExecutor(e)
			})})
	for _, v := range []struct{ verb, short string }{
		{"pause", "Start no more attempts on an executor"}, {"resume", "Start attempts again"},
		{"drain", "Let an executor finish what it runs, then stop it"}, {"restart", "Replace an executor's process"},
	} {
		cmd.AddCommand(&cobra.Command{Use: v.verb + " NAME", Short: v.short, Args: cobra.ExactArgs(1),
			RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
				e, err := c.ControlExecutor(ctx, args[0], v.verb)
				if err != nil {
					return err
				}
				return list(p, executorRows(), []api.Executor{e}, e)
			})})
	}
	return cmd
}

func (p *program) showExecutor(e api.Executor) error {
	fields := []pair{{"Name", e.Name}, {"Plugin", e.Plugin}, {"Version", e.Version}, {"State", string(e.State)}, {"Reason", deref(e.Reason)},
		{"Last error", deref(e.LastError)}, {"Slots", slotText(e.Slots)}, {"Types", strings.Join(e.Types, ", ")}}
	for _, i := range e.Instances {
		text := fmt.Sprintf("%s pid %d, version %s, %s since %s, %d restarts", i.ID, i.Pid, i.Version, i.State, stamp(&i.Since), i.Restarts)
		if i.Reason != "" {
			text += ": " + i.Reason
		}
		fields = append(fields, pair{"Process", text})
	}
	for _, n := range e.Nodes {
		fields = append(fields, pair{"Worker", fmt.Sprintf("%s at %s, %s slots", n.Name, n.Address, slotText(n.Slots))})
	}
	return show(p, e, e.Name, fields)
}
