package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

// allFlags select among the events of all tasks.
type allFlags struct {
	states, types []string
	group, owner  string
	after         int64
	limit         int
}

// allNames are the flags of allFlags.
var allNames = strings.Fields("state type group owner after limit")

func (f *allFlags) add(p *program, cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringSliceVar(&f.states, "state", nil, "transitions to this state; may repeat")
	s.StringSliceVar(&f.types, "type", nil, "of tasks of this type; may repeat")
	s.StringVar(&f.group, "group", "", "of members of this group")
	s.StringVar(&f.owner, "owner", "", "of tasks of this owner")
	s.Int64Var(&f.after, "after", 0, "go on after the event with this id, which -o jsonl shows")
	s.IntVar(&f.limit, "limit", 0, "end after so many events; 0 for no end")
	refuseEmpty(cmd, "state", "type", "group", "owner")
	completeFlag(cmd, "state", cobra.FixedCompletions(stateList(), cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "type", p.completeTypes())
	completeFlag(cmd, "group", p.completeGroups())
}

// watchAll prints what happens to all tasks that the flags select.
func (p *program) watchAll(ctx context.Context, c *client.Client, f *allFlags) (err error) {
	o := task.EventFilter{Types: f.types, Owner: f.owner}
	if f.after < 0 || f.limit < 0 {
		return usagef("--after and --limit are not below 0")
	}
	if o.States, err = parseStates(f.states); err != nil {
		return err
	}
	if o.Group, err = idFlag(ctx, c, f.group, fullGroupID); err != nil {
		return err
	}
	last := f.after
	n := 0
	for e, err := range c.AllEvents(ctx, o, f.after) {
		if ctx.Err() != nil && last > 0 {
			return &exitError{code: exitInterrupted, msg: fmt.Sprintf("interrupted: with --after %d it goes on", last)}
		}
		if err != nil {
			return err
		}
		last = e.ID
		if err := p.printEvent(&e); err != nil {
			return err
		}
		if e.State != nil {
			n++
		}
		if f.limit > 0 && n == f.limit {
			break
		}
	}
	return nil
}

// eventLine is an event of any task as JSON.
type eventLine struct {
	ID string `json:"id"`
	*api.StateEvent
	Reset *api.ResetEvent `json:"reset,omitempty"`
}

func (p *program) printEvent(e *client.TaskEvent) error {
	if p.format == formatJSON || p.format == formatLines {
		return p.jsonLine(eventLine{strconv.FormatInt(e.ID, 10), e.State, e.Reset})
	}
	if e.Reset != nil {
		fmt.Fprintln(p.err, "taskhost: "+printable(foldLines(e.Reset.Reason)))
		return nil
	}
	t := &e.State.Task
	line := t.ID
	if p.format != formatName {
		line = fmt.Sprintf("%s %s %s %s", clockTime(e.State.At), shortID(t.ID), t.Type, transitionText(e.State))
	}
	_, err := fmt.Fprintln(p.out, foldLines(line))
	return err
}
