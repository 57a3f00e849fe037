package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

// actionFlags are the flags of action.
type actionFlags struct {
	filter            filterFlags
	to                string
	all, dryRun, wait bool
	waitTimeout       time.Duration
	idempotencyKey    string
}

func (p *program) actionCmd() *cobra.Command {
	var a actionFlags
	names := strings.Join(task.ActionNames(), ", ")
	cmd := &cobra.Command{Use: "action ACTION", Short: "Do something to all tasks that match", Args: cobra.ExactArgs(1),
		ValidArgsFunction: onlyFirst(cobra.FixedCompletions(task.ActionNames(), cobra.ShellCompDirectiveNoFileComp)),
		Long: "Do something to all tasks that match: " + names + ". Tasks that it does not fit, such as final ones for a cancel, are left out.\n" +
			"A task of type taskhost.action carries it out: its progress counts, and a cancel of it stops it. With --wait the exit code is 1 if " +
			"it failed for any task.",
		Example: "  taskhost action cancel --type import --state pending --dry-run\n" +
			"  taskhost action delete --state succeeded --created-before 48h --wait\n" +
			"  taskhost action move --type import --to fleet\n" +
			"  taskhost action priority --label team=a --to 10"}
	a.filter.add(p, cmd)
	f := cmd.Flags()
	f.BoolVar(&a.all, "all", false, "all tasks, where no other flag says which")
	f.StringVar(&a.to, "to", "", "of move: the executor, or \"\" for whom the config says; of priority: the number")
	f.BoolVar(&a.dryRun, "dry-run", false, "do nothing, and say to how many tasks it would be done")
	f.BoolVar(&a.wait, "wait", false, "wait until it is done, and show how far it is")
	f.DurationVar(&a.waitTimeout, "wait-timeout", 0, "wait no longer than this (exit code 124); 0 for ever")
	f.StringVar(&a.idempotencyKey, "idempotency-key", "", "do it once, however often this is run with the same key")
	refuseEmpty(cmd, "idempotency-key")
	completeFlag(cmd, "to", p.completeExecutors())
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		req, err := a.request(ctx, c, cmd, args[0])
		if err != nil {
			return err
		}
		if a.dryRun {
			return p.countAction(ctx, c, req)
		}
		return p.runAction(ctx, c, req, &a)
	})
	return cmd
}

// request is the action that is asked for.
func (a *actionFlags) request(ctx context.Context, c *client.Client, cmd *cobra.Command, action string) (req api.ActionRequest, err error) {
	if !slices.Contains(task.ActionNames(), action) {
		return req, usagef("%q is not an action: want one of %s", action, strings.Join(task.ActionNames(), ", "))
	}
	if !a.filter.given(cmd) && !a.all {
		return req, usagef("say which tasks: with --state, --type, --label and the like, or --all")
	}
	req.Action = action
	if req.To, err = a.target(cmd, action); err != nil {
		return req, err
	}
	f, err := a.filter.filter(ctx, c)
	if err != nil {
		return req, err
	}
	req.Filter = api.ActionFilterOf(f)
	return req, nil
}

// target is the "to" of an action, which some need and others do not take.
func (a *actionFlags) target(cmd *cobra.Command, action string) (json.RawMessage, error) {
	given := cmd.Flags().Changed("to")
	switch {
	case action == task.ActionMove && given && a.to == "":
		return json.RawMessage("null"), nil
	case action == task.ActionMove && given:
		return api.Encode(a.to)
	case action == task.ActionMove:
		return nil, usagef("move needs --to: the executor, or \"\" for whom the config says")
	case action == task.ActionPriority:
		n, err := strconv.Atoi(a.to)
		if err != nil {
			return nil, usagef("priority needs --to with a number, and not %q", a.to)
		}
		return api.Encode(n)
	case given:
		return nil, usagef("%s takes no --to", action)
	}
	return nil, nil
}

func (p *program) countAction(ctx context.Context, c *client.Client, req api.ActionRequest) error {
	n, err := c.CountAction(ctx, req)
	if err != nil {
		return err
	}
	switch p.format {
	case formatJSON:
		return p.json(api.ActionCount{Matched: n})
	case formatLines:
		return p.jsonLine(api.ActionCount{Matched: n})
	case formatName:
		_, err = fmt.Fprintln(p.out, n)
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s would be done to %d tasks\n", req.Action, n)
	return err
}

// runAction has an action carried out.
func (p *program) runAction(ctx context.Context, c *client.Client, req api.ActionRequest, a *actionFlags) error {
	t, err := c.SubmitAction(ctx, req, a.idempotencyKey)
	if err != nil {
		return err
	}
	if !a.wait {
		return printList(p, taskTable(), []api.Task{t}, t)
	}
	waiting, cancel := withWaitTimeout(ctx, a.waitTimeout)
	defer cancel()
	if t, err = p.waitTask(ctx, waiting, c, t.ID, a.waitTimeout, true); err != nil {
		return err
	}
	if p.format != formatTable {
		if err := printFields(p, t, t.ID, nil); err != nil {
			return err
		}
	}
	if err := outcomeError(&t); err != nil {
		return err
	}
	var done struct {
		Done, Failed int64
		Error        string
	}
	if err := json.Unmarshal(t.Result, &done); err != nil {
		return fmt.Errorf("read what became of the action: %w", err)
	}
	if p.format == formatTable {
		if _, err := fmt.Fprintf(p.out, "%s was done to %d tasks\n", req.Action, done.Done); err != nil {
			return err
		}
	}
	if done.Failed > 0 {
		return &exitError{code: exitFault, msg: fmt.Sprintf("it failed for %d tasks, the last time with: %s", done.Failed, foldLines(done.Error))}
	}
	return nil
}
