package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) listCmd() *cobra.Command {
	var states, labels []string
	var o task.Filter
	var after, before, finishedAfter, finishedBefore string
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List tasks, newest first", Args: cobra.NoArgs}
	f := cmd.Flags()
	f.StringSliceVar(&states, "state", nil, "in this state; may repeat")
	f.StringSliceVar(&o.Types, "type", nil, "of this type; may repeat")
	f.StringVar(&o.Executor, "executor", "", "that this executor runs, or ran last")
	f.StringVar(&o.Owner, "owner", "", "of this owner")
	f.StringVar(&o.Key, "key", "", "with this key")
	f.StringArrayVar(&labels, "label", nil, "with this label, name=value; may repeat")
	f.StringVar(&after, "created-after", "", "created after this time (RFC 3339, or a duration ago such as 10m)")
	f.StringVar(&before, "created-before", "", "created before this time")
	f.StringVar(&finishedAfter, "finished-after", "", "that became final after this time")
	f.StringVar(&finishedBefore, "finished-before", "", "that became final before this time")
	f.BoolVar(&o.Ascending, "oldest", false, "oldest first")
	f.IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	completeFlag(cmd, "state", cobra.FixedCompletions(stateList(), cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "type", p.completeTypes())
	completeFlag(cmd, "executor", p.completeExecutors())
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		var err error
		for _, at := range []struct {
			to          *time.Time
			flag, value string
		}{
			{&o.CreatedAfter, "--created-after", after}, {&o.CreatedBefore, "--created-before", before},
			{&o.FinishedAfter, "--finished-after", finishedAfter}, {&o.FinishedBefore, "--finished-before", finishedBefore},
		} {
			if *at.to, err = pastTime(at.flag, at.value); err != nil {
				return err
			}
		}
		if o.Labels, err = parsePairs("--label", labels); err != nil {
			return err
		}
		for _, s := range states {
			var st task.State
			if err := st.UnmarshalText([]byte(s)); err != nil || st == task.None {
				return usagef("--state %s: want one of %s", s, strings.Join(stateList(), ", "))
			}
			o.States = append(o.States, st)
		}
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
	if body.Next != nil && p.format == formatTable {
		fmt.Fprintf(p.err, "there are more than %d: --limit 0 lists all\n", len(body.Tasks))
	}
	return nil
}
