package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) taskCmd() *cobra.Command {
	return group("task", "Submit, watch and change tasks",
		p.submitCmd(), p.getCmd(), p.listCmd(), p.treeCmd(), p.waitCmd(), p.watchCmd(), p.logsCmd(), p.historyCmd(), p.resultCmd(),
		changeCommand(p, tasks(), "cancel", "Ask tasks to end", p.completeTasks(task.Pending, task.Running), (*client.Client).Cancel),
		changeCommand(p, tasks(), "retry", "Run failed, canceled or reverted tasks again", p.completeTasks(task.Failed, task.Canceled, task.Reverted), (*client.Client).Retry),
		changeCommand(p, tasks(), "pause", "Have tasks rest: those that run, if their scripts agree", p.completeTasks(task.Pending, task.Running), (*client.Client).Pause),
		changeCommand(p, tasks(), "resume", "Have paused tasks wait for their turn again", p.completeTasks(task.Pending), (*client.Client).Resume),
		deleteCommand(p, tasks(), "Delete final tasks and all that belongs to them", p.completeTasks(finalStates()...), (*client.Client).Delete))
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

// tasks are how the commands that take several tasks name and print them.
func tasks() kind[api.Task] {
	return kind[api.Task]{arg: "ID", format: taskTable(), list: func(all []api.Task) any { return api.TaskList{Tasks: all} }, id: fullID}
}
