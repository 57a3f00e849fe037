package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) watchCmd() *cobra.Command {
	var all allFlags
	cmd := &cobra.Command{Use: "watch [ID]", Short: "Print transitions of a task, or of all, as they come", Args: cobra.MaximumNArgs(1), ValidArgsFunction: onlyFirst(p.completeTasks())}
	cmd.Long = cmd.Short + `.

Of one task all of its history is printed, and what comes until it is final. Without an ID what
happens to tasks from now on is printed, until it is interrupted or --limit is reached.`
	all.add(p, cmd)
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if len(args) == 0 {
			return p.watchAll(ctx, c, &all)
		}
		if name := firstGiven(cmd, allNames); name != "" {
			return usagef("--%s selects among the events of all tasks: give no ID with it", name)
		}
		return p.watchOne(ctx, c, args[0])
	})
	return cmd
}

// watchOne prints what happens to a task until it is final.
func (p *program) watchOne(ctx context.Context, c *client.Client, arg string) error {
	id, err := fullID(ctx, c, arg)
	if err != nil {
		return err
	}
	d := newDisplay(p.err)
	for u, err := range c.Events(ctx, id, 0) {
		if ctx.Err() != nil {
			return &detachedError{id}
		}
		if err != nil {
			return err
		}
		switch {
		case u.Progress != nil:
			d.progress(u.Progress)
		case u.State != nil:
			if err := p.printTransition(u.State); err != nil {
				return err
			}
		}
	}
	d.close()
	t, err := c.Wait(ctx, id) // and not Get: the host may end with the task
	if err != nil {
		return err
	}
	return outcomeError(&t)
}

// printTransition prints a transition as it comes.
func (p *program) printTransition(e *api.StateEvent) error {
	switch p.format {
	case formatJSON, formatLines:
		return p.jsonLine(e)
	case formatName:
		_, err := fmt.Fprintln(p.out, e.To)
		return err
	}
	_, err := fmt.Fprintln(p.out, transitionLine(e))
	return err
}

// followTask shows progress, transitions and logs on stderr until the task is final.
func (p *program) followTask(ctx context.Context, c *client.Client, id string) (api.Task, error) {
	d := newDisplay(p.err)
	logs, stop := context.WithCancel(ctx)
	defer stop()
	logsDone := make(chan struct{})
	go func() {
		defer close(logsDone)
		for l, err := range c.Logs(logs, id, client.LogOptions{Follow: true}) {
			if err != nil { // the events say what is wrong with the server
				return
			}
			d.line(logLine(&l))
		}
	}()
	for u, err := range c.Events(ctx, id, 0) {
		if err != nil {
			return api.Task{}, err
		}
		switch {
		case u.Progress != nil:
			d.progress(u.Progress)
		case u.State != nil:
			d.line(transitionLine(u.State))
		}
	}
	// The last lines come a moment after the end; not for ever, should the server be stuck.
	select {
	case <-logsDone:
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	d.close()
	return c.Wait(ctx, id) // and not Get: the host may end with the task
}

// transitionLine is a transition for people to read.
func transitionLine(e *api.StateEvent) string {
	return foldLines(clockTime(e.At) + " " + transitionText(e))
}

// transitionText is to what state a task came, and why.
func transitionText(e *api.StateEvent) string {
	text := e.To.String()
	if e.To == task.Pending && e.Task.Waiting != nil {
		text += " (" + *e.Task.Waiting + ")"
	}
	if e.To == task.Running {
		text += fmt.Sprintf(" (attempt %d on %s)", e.Attempt, orDash(e.Task.Executor))
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}
