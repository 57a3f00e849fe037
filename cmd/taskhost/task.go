package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) taskCmd() *cobra.Command {
	return group("task", "Submit, watch and change tasks",
		p.submitCmd(), p.getCmd(), p.listCmd(), p.treeCmd(), p.waitCmd(), p.watchCmd(), p.logsCmd(), p.historyCmd(), p.resultCmd(),
		p.changeTasksCmd("cancel", "Ask tasks to end", []task.State{task.Pending, task.Running}, (*client.Client).Cancel),
		p.changeTasksCmd("retry", "Run failed, canceled or reverted tasks again", []task.State{task.Failed, task.Canceled, task.Reverted}, (*client.Client).Retry),
		p.deleteCmd())
}

func (p *program) getCmd() *cobra.Command {
	return &cobra.Command{Use: "get ID", Short: "Show a task", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeTasks()),
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

// changeTasksCmd is a command that changes tasks, which are likely to be in one of these states.
func (p *program) changeTasksCmd(verb, short string, in []task.State, do func(*client.Client, context.Context, string) (api.Task, error)) *cobra.Command {
	return &cobra.Command{Use: verb + " ID...", Short: short, Long: short + ". " + severalHelp, Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: p.completeTasks(in...),
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			var done []api.Task
			err := p.forEachTask(ctx, c, args, func(id string) error {
				t, err := do(c, ctx, id)
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
		ValidArgsFunction: p.completeTasks(finalStates()...),
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
