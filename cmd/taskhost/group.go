package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	groups "github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) groupCmd() *cobra.Command {
	k := kind[api.Group]{arg: "ID", format: groupTable(), list: func(all []api.Group) any { return api.GroupList{Groups: all} }, id: fullGroupID}
	complete := p.completeGroups()
	return group("group", "Tasks that belong together",
		p.createGroupCmd(),
		getCommand(p, "Show a group", complete, getGroup, p.showGroup),
		p.listGroupsCmd(), p.waitGroupsCmd(k),
		changeCommand(p, k, "close", "Let no more tasks join groups", complete, (*client.Client).CloseGroup),
		changeCommand(p, k, "cancel", "Close groups, and ask all their members to end", complete, (*client.Client).CancelGroup),
		changeCommand(p, k, "retry", "Run the failed members of groups again", complete, (*client.Client).RetryGroup),
		deleteCommand(p, k, "Delete finished groups and their members", complete, (*client.Client).DeleteGroup))
}

func groupTable() tableFormat[api.Group] {
	return tableFormat[api.Group]{
		header: []string{"ID", "NAME", "STATE", "DONE", "FAILED", "CANCELED", "AGE"},
		name:   func(g api.Group) string { return g.ID },
		cells: func(g api.Group) []string {
			return []string{shortID(g.ID), orDash(&g.Name), string(g.State), fmt.Sprintf("%d/%d", g.Done, g.Total), strconv.FormatInt(g.Counts["failed"], 10),
				strconv.FormatInt(g.Counts["canceled"], 10), age(g.CreatedAt)}
		},
	}
}

func (p *program) showGroup(g api.Group) error {
	var counts []string
	for _, s := range groups.Counted() {
		if n := g.Counts[groups.CountName(s)]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, groups.CountName(s)))
		}
	}
	return printFields(p, g, g.ID, []field{
		{"ID", g.ID}, {"Name", g.Name}, {"Owner", g.Owner}, {"Labels", labelText(g.Labels)}, {"State", string(g.State)}, {"Done", fmt.Sprintf("%d of %d", g.Done, g.Total)},
		{"Tasks", strings.Join(counts, ", ")}, {"Problem", orEmpty(g.Problem)}, {"Finisher", strings.TrimPrefix(orEmpty(g.OnFinished), "/v1/tasks/")},
		{"Created", timeText(&g.CreatedAt)}, {"Closed", timeText(g.ClosedAt)}, {"Finished", timeText(g.FinishedAt)},
	})
}

// fullGroupID is the id that arg begins.
func fullGroupID(ctx context.Context, c *client.Client, arg string) (string, error) {
	return idOf("group", arg, func(behind task.ID) (ids []string, err error) {
		page, err := c.GroupsPage(ctx, groups.Filter{Cursor: behind, Limit: 2})
		for i := range page.Groups {
			ids = append(ids, page.Groups[i].ID)
		}
		return ids, err
	})
}

func getGroup(c *client.Client, ctx context.Context, arg string) (api.Group, error) {
	id, err := fullGroupID(ctx, c, arg)
	if err != nil {
		return api.Group{}, err
	}
	return c.Group(ctx, id)
}

func (p *program) createGroupCmd() *cobra.Command {
	var req api.GroupRequest
	var labels []string
	var finisher string
	cmd := &cobra.Command{Use: "create", Short: "Make an open group, which tasks join until it is closed", Args: cobra.NoArgs,
		Example: "  taskhost group create --name nightly --on-finished '{\"type\": \"report\"}'\n" +
			"  taskhost task submit import --group ID --input @image.json\n" +
			"  taskhost group close ID"}
	f := cmd.Flags()
	f.StringVar(&req.Name, "name", "", "a name, which need not be unique")
	f.StringArrayVar(&labels, "label", nil, "a label, name=value; may repeat")
	f.StringVar(&finisher, "on-finished", "", "a task that is submitted once all members are final: JSON, @file, or - for stdin")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) (err error) {
		if req.Labels, err = parsePairs("--label", labels); err != nil {
			return err
		}
		raw, err := readJSON("--on-finished", finisher, p.in)
		if err != nil {
			return err
		}
		if raw != nil {
			if err := json.Unmarshal(raw, &req.OnFinished); err != nil {
				return usagef("--on-finished is no task: %v (want one such as {\"type\": \"report\"})", err)
			}
		}
		g, err := c.CreateGroup(ctx, req)
		if err != nil {
			return err
		}
		return printList(p, groupTable(), []api.Group{g}, g)
	})
	return cmd
}

func (p *program) listGroupsCmd() *cobra.Command {
	var name string
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List groups, newest first", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&name, "name", "", "of this name")
	refuseEmpty(cmd, "name")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		f := groups.Filter{Name: name}
		all, next, err := readPages(limit, func(most int, _ string) ([]api.Group, *string, error) {
			f.Limit = most
			page, err := c.GroupsPage(ctx, f)
			if err == nil {
				f.Cursor, err = page.Cursor()
			}
			return page.Groups, page.Next, err
		})
		if err != nil {
			return err
		}
		defer p.sayMore(next, len(all))
		return printList(p, groupTable(), all, api.GroupList{Groups: all, Next: next})
	})
	return cmd
}

func (p *program) waitGroupsCmd(k kind[api.Group]) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{Use: "wait ID...", Short: "Wait until groups are finished", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.completeGroups(),
		Long: "Wait until groups are closed and all their members final, over a restart of the server as well.\n" +
			"The exit code is the worst of what became of their members: failed, canceled, in this order."}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait no longer than this for all (exit code 124); 0 for ever")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		waiting, cancel := withWaitTimeout(ctx, timeout)
		defer cancel()
		var done []api.Group
		err := forEachOf(ctx, p, c, k, args, func(id string) error {
			g, err := p.waitGroup(waiting, c, id)
			switch {
			case ctx.Err() != nil:
				return &exitError{code: exitInterrupted, msg: fmt.Sprintf("group %s goes on", id)}
			case waiting.Err() != nil:
				return &exitError{code: exitTimeout, msg: fmt.Sprintf("group %s is not finished after %s; it goes on", id, timeout)}
			case err != nil:
				return err
			}
			done = append(done, g)
			return groupOutcome(&g)
		})
		if perr := printSeveral(p, k, done, len(args) == 1); perr != nil {
			return perr
		}
		return err
	})
	return cmd
}

// The rests between two looks at a group that is waited for: from the least to the most.
const (
	leastGroupPoll = 50 * time.Millisecond
	mostGroupPoll  = time.Second
)

// waitGroup gives the group once it is finished, showing how far it is.
func (p *program) waitGroup(ctx context.Context, c *client.Client, id string) (g api.Group, err error) {
	d := newDisplay(p.err)
	defer d.close()
	for rest := leastGroupPoll; ; rest = min(2*rest, mostGroupPoll) {
		err := c.Outlast(ctx, func() (err error) {
			g, err = c.Group(ctx, id)
			return err
		})
		if err != nil || g.State == groups.Finished {
			return g, err
		}
		d.progress(&api.TaskProgress{Done: g.Done, Total: g.Total, Message: string(g.State)})
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return g, ctx.Err()
		}
	}
}

// groupOutcome is the error of a finished group's members: nil if none failed or was canceled.
func groupOutcome(g *api.Group) error {
	failed := g.Counts[task.Failed.String()] + g.Counts[task.Skipped.String()] + g.Counts[task.Reverted.String()] + g.Counts[task.RevertFailed.String()]
	canceled := g.Counts[task.Canceled.String()]
	switch {
	case failed > 0:
		return &exitError{code: exitFailed, msg: fmt.Sprintf("group %s: %d of %d tasks did not succeed", g.ID, failed+canceled, g.Total)}
	case canceled > 0:
		return &exitError{code: exitCanceled, msg: fmt.Sprintf("group %s: %d of %d tasks were canceled", g.ID, canceled, g.Total)}
	}
	return nil
}
