package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api/client"
	groups "github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
)

// completeTimeout is how long a shell waits for what a server knows.
const completeTimeout = time.Second

// candidate is what may complete a word, with what tells people which it is.
type candidate struct{ word, about string }

// completed makes the completion of what a server knows. find gets the arguments before and
// what is typed of this one, neither of which it need look at. It offers nothing, and says
// nothing, where no server answers at once.
func (p *program) completed(find func(ctx context.Context, c *client.Client, args []string, typed string) ([]candidate, error)) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, err := client.New(p.addr, os.Getenv("TASKHOST_TOKEN"))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, stop := context.WithTimeout(context.Background(), completeTimeout)
		defer stop()
		found, err := find(ctx, c, args, typed)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		for _, o := range found {
			if strings.HasPrefix(o.word, typed) && !slices.Contains(args, o.word) {
				out = append(out, cobra.CompletionWithDesc(supervisor.Printable(o.word), supervisor.Printable(o.about)))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// onlyFirst completes the first argument, and no more.
func onlyFirst(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, typed)
	}
}

// tasksOffered is how many tasks are offered, the newest.
const tasksOffered = 50

// completeTasks offers the newest tasks in these states, of any if there are none, whose
// ids begin as is typed.
func (p *program) completeTasks(states ...task.State) cobra.CompletionFunc {
	return p.completed(func(ctx context.Context, c *client.Client, args []string, typed string) ([]candidate, error) {
		f := task.Filter{States: states, Limit: tasksOffered}
		if typed != "" {
			_, last, err := task.PrefixRange(typed)
			if err != nil {
				return nil, err
			}
			f.Cursor = last // ids are listed downwards from there
		}
		page, err := c.ListPage(ctx, f)
		var out []candidate
		for _, t := range page.Tasks {
			if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(t.ID, arg) }) {
				continue
			}
			word := t.ID
			if len(typed) <= task.IDBeginning {
				word = shortID(t.ID)
			}
			out = append(out, candidate{word, t.Type + " " + t.State.String() + ", " + age(t.CreatedAt) + " old"})
		}
		return out, err
	})
}

func (p *program) completeTypes() cobra.CompletionFunc {
	return p.completed(func(ctx context.Context, c *client.Client, _ []string, _ string) (out []candidate, err error) {
		types, err := c.Types(ctx)
		for _, t := range types {
			out = append(out, candidate{t.Name, t.Description})
		}
		return out, err
	})
}

func (p *program) completeExecutors() cobra.CompletionFunc {
	return p.completed(func(ctx context.Context, c *client.Client, _ []string, _ string) (out []candidate, err error) {
		executors, err := c.Executors(ctx)
		for _, e := range executors {
			out = append(out, candidate{e.Name, e.Plugin + ", " + string(e.State)})
		}
		return out, err
	})
}

// completeGroups offers the newest groups.
func (p *program) completeGroups() cobra.CompletionFunc {
	return p.completed(func(ctx context.Context, c *client.Client, _ []string, typed string) (out []candidate, err error) {
		page, err := c.GroupsPage(ctx, groups.Filter{Limit: tasksOffered})
		for _, g := range page.Groups {
			word := g.ID
			if len(typed) <= task.IDBeginning {
				word = shortID(g.ID)
			}
			out = append(out, candidate{word, strings.TrimSpace(fmt.Sprintf("%s %s, %d of %d done", g.Name, g.State, g.Done, g.Total))})
		}
		return out, err
	})
}

func (p *program) completeSchedules() cobra.CompletionFunc {
	return p.completed(func(ctx context.Context, c *client.Client, _ []string, _ string) (out []candidate, err error) {
		page, err := c.SchedulesPage(ctx, "", "", task.MaxListLimit)
		for i := range page.Schedules {
			s := &page.Schedules[i]
			out = append(out, candidate{s.Name, scheduledType(s) + " " + whenText(s)})
		}
		return out, err
	})
}

func (p *program) completeResources() cobra.CompletionFunc {
	return p.completed(func(ctx context.Context, c *client.Client, _ []string, _ string) (out []candidate, err error) {
		page, err := c.ResourcesPage(ctx, "", task.MaxListLimit)
		for _, r := range page.Resources {
			out = append(out, candidate{r.Name, fmt.Sprintf("held by %d, %d waiting", r.Held, r.Waiting)})
		}
		return out, err
	})
}

func (p *program) completeWorkers() cobra.CompletionFunc {
	return p.completed(func(ctx context.Context, c *client.Client, _ []string, _ string) (out []candidate, err error) {
		workers, err := c.Workers(ctx)
		for _, w := range workers {
			if !slices.ContainsFunc(out, func(o candidate) bool { return o.word == w.Name }) { // two may have one name
				out = append(out, candidate{w.Name, w.State + ", of executor " + w.Executor})
			}
		}
		return out, err
	})
}

// completeFlag has a flag of c completed.
func completeFlag(c *cobra.Command, flag string, complete cobra.CompletionFunc) {
	_ = c.RegisterFlagCompletionFunc(flag, complete) // the flag is there, and has none yet
}
