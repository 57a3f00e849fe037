package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func (p *program) taskCmd() *cobra.Command {
	return group("task", "Submit, watch and change tasks",
		p.submitCmd(), p.getCmd(), p.listCmd(), p.waitCmd(), p.watchCmd(), p.logsCmd(), p.historyCmd(), p.resultCmd(),
		p.changeTasksCmd("cancel", "Ask tasks to end", func(ctx context.Context, c *client.Client, id string) (api.Task, error) { return c.Cancel(ctx, id) }),
		p.changeTasksCmd("retry", "Run failed, canceled or reverted tasks again", func(ctx context.Context, c *client.Client, id string) (api.Task, error) { return c.Retry(ctx, id) }),
		p.deleteCmd())
}

func (p *program) getCmd() *cobra.Command {
	return &cobra.Command{Use: "get ID", Short: "Show a task", Args: cobra.ExactArgs(1),
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			t, err := c.Get(ctx, args[0])
			if err != nil {
				return err
			}
			return p.showTask(t)
		})}
}

// severalHelp says what becomes of several tasks that a command names.
const severalHelp = "All are tried, and what is wrong with one is said in a line of its own. The exit\n" +
	"code is the worst: error, not allowed, not found, conflict, in this order."

func (p *program) changeTasksCmd(verb, short string, do func(context.Context, *client.Client, string) (api.Task, error)) *cobra.Command {
	return &cobra.Command{Use: verb + " ID...", Short: short, Long: short + ". " + severalHelp, Args: cobra.MinimumNArgs(1),
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			var done []api.Task
			err := p.forEachTask(ctx, c, args, func(id string) error {
				t, err := do(ctx, c, id)
				if err == nil {
					done = append(done, t)
				}
				return err
			})
			if perr := p.printTasks(done, len(args) == 1); perr != nil {
				return perr
			}
			return err
		})}
}

func (p *program) deleteCmd() *cobra.Command {
	const short = "Delete final tasks and all that belongs to them"
	return &cobra.Command{Use: "delete ID...", Short: short, Long: short + ". " + severalHelp, Args: cobra.MinimumNArgs(1),
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			return p.forEachTask(ctx, c, args, func(id string) error {
				if err := c.Delete(ctx, id); err != nil {
					return err
				}
				fmt.Fprintln(p.err, "deleted", id)
				return nil
			})
		})}
}
