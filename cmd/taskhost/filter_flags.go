package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

// filterFlags are the flags that select tasks.
type filterFlags struct {
	states, labels []string
	group, parent  string
	after, before  string

	finishedAfter, finishedBefore string
	types                         []string
	executor, owner, key          string
}

// filterNames are the flags of filterFlags.
var filterNames = strings.Fields("state type executor owner key group parent label created-after created-before finished-after finished-before")

func (f *filterFlags) add(p *program, cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringSliceVar(&f.states, "state", nil, "in this state; may repeat")
	s.StringSliceVar(&f.types, "type", nil, "of this type; may repeat")
	s.StringVar(&f.executor, "executor", "", "that this executor runs or ran last, or that wait for it")
	s.StringVar(&f.owner, "owner", "", "of this owner")
	s.StringVar(&f.key, "key", "", "with this key")
	s.StringVar(&f.group, "group", "", "members of this group")
	s.StringVar(&f.parent, "parent", "", "children of this task")
	s.StringArrayVar(&f.labels, "label", nil, "with this label, name=value; may repeat")
	s.StringVar(&f.after, "created-after", "", "created after this time (RFC 3339, or a duration ago such as 10m)")
	s.StringVar(&f.before, "created-before", "", "created before this time")
	s.StringVar(&f.finishedAfter, "finished-after", "", "that became final after this time")
	s.StringVar(&f.finishedBefore, "finished-before", "", "that became final before this time")
	refuseEmpty(cmd, filterNames...)
	completeFlag(cmd, "state", cobra.FixedCompletions(stateList(), cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "type", p.completeTypes())
	completeFlag(cmd, "executor", p.completeExecutors())
	completeFlag(cmd, "group", p.completeGroups())
	completeFlag(cmd, "parent", p.completeTasks())
}

// given says that any of them was given.
func (f *filterFlags) given(cmd *cobra.Command) bool {
	return firstGiven(cmd, filterNames) != ""
}

// filter is what the flags select.
func (f *filterFlags) filter(ctx context.Context, c *client.Client) (o task.Filter, err error) {
	o = task.Filter{Types: f.types, Executor: f.executor, Owner: f.owner, Key: f.key}
	for _, at := range []struct {
		to          *time.Time
		flag, value string
	}{
		{&o.CreatedAfter, "--created-after", f.after}, {&o.CreatedBefore, "--created-before", f.before},
		{&o.FinishedAfter, "--finished-after", f.finishedAfter}, {&o.FinishedBefore, "--finished-before", f.finishedBefore},
	} {
		if *at.to, err = pastTime(at.flag, at.value); err != nil {
			return o, err
		}
	}
	if o.Labels, err = parsePairs("--label", f.labels); err != nil {
		return o, err
	}
	if o.States, err = parseStates(f.states); err != nil {
		return o, err
	}
	if o.Group, err = idFlag(ctx, c, f.group, fullGroupID); err != nil {
		return o, err
	}
	o.Parent, err = idFlag(ctx, c, f.parent, fullID)
	return o, err
}

// parseStates reads the values of --state.
func parseStates(values []string) (states []task.State, err error) {
	for _, v := range values {
		var s task.State
		if err := s.UnmarshalText([]byte(v)); err != nil || s == task.None {
			return nil, usagef("--state %s: want one of %s", v, strings.Join(stateList(), ", "))
		}
		states = append(states, s)
	}
	return states, nil
}

// idFlag is the id that a flag's value begins; zero if it was not given.
func idFlag(ctx context.Context, c *client.Client, value string, full func(context.Context, *client.Client, string) (string, error)) (task.ID, error) {
	if value == "" {
		return task.ID{}, nil
	}
	id, err := full(ctx, c, value)
	if err != nil {
		return task.ID{}, err
	}
	return task.ParseID(id)
}
