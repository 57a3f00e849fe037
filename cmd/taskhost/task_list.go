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

// listTasks prints up to limit tasks, of as many pages as that takes. As lines they are
// printed page by page, however many there are.
func (p *program) listTasks(ctx context.Context, c *client.Client, o task.Filter, limit int) error {
	streamed := p.format == formatLines || p.format == formatName
	body := api.TaskList{Tasks: []api.Task{}}
	for n := 0; ; {
		o.Limit = task.MaxListLimit
		if limit > 0 {
			o.Limit = min(limit-n, task.MaxListLimit)
		}
		var page api.TaskList
		if err := c.Outlast(ctx, func() (err error) { page, err = c.ListPage(ctx, o); return err }); err != nil {
			return err
		}
		n += len(page.Tasks)
		body.Next = page.Next
		if streamed {
			if err := printList(p, taskTable(), page.Tasks, nil); err != nil {
				return err
			}
		} else {
			body.Tasks = append(body.Tasks, page.Tasks...)
		}
		if page.Next == nil || limit > 0 && n >= limit {
			break
		}
		var err error
		if o.Cursor, err = page.Cursor(); err != nil {
			return err
		}
	}
	if streamed {
		return nil
	}
	if err := printList(p, taskTable(), body.Tasks, body); err != nil {
		return err
	}
	p.sayMore(body.Next, len(body.Tasks))
	return nil
}
