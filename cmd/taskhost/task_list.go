package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) listCmd() *cobra.Command {
	var filter filterFlags
	var oldest bool
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List tasks, newest first", Args: cobra.NoArgs}
	filter.add(p, cmd)
	cmd.Flags().BoolVar(&oldest, "oldest", false, "oldest first")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		o, err := filter.filter(ctx, c)
		if err != nil {
			return err
		}
		o.Ascending = oldest
		return p.listTasks(ctx, c, o, limit)
	})
	return cmd
}

// listTasks prints up to limit tasks, of as many pages as that takes.
func (p *program) listTasks(ctx context.Context, c *client.Client, o task.Filter, limit int) error {
	body := api.TaskList{Tasks: []api.Task{}}
	for {
		o.Limit = task.MaxListLimit
		if limit > 0 {
			o.Limit = min(limit-len(body.Tasks), task.MaxListLimit)
		}
		page, err := c.ListPage(ctx, o)
		if err != nil {
			return err
		}
		body.Tasks = append(body.Tasks, page.Tasks...)
		body.Next = page.Next
		if page.Next == nil || limit > 0 && len(body.Tasks) >= limit {
			break
		}
		if o.Cursor, err = page.Cursor(); err != nil {
			return err
		}
	}
	if err := printList(p, taskTable(), body.Tasks, body); err != nil {
		return err
	}
	p.sayMore(body.Next, len(body.Tasks))
	return nil
}
