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

func (p *program) typeCmd() *cobra.Command {
	c := group("type", "What can be submitted",
		listCommand(p, "List task types", typeTable(), (*client.Client).Types, func(all []api.Type) any { return api.TypeList{Types: all} }),
		getCommand(p, "Show a task type with its schemas", p.completeTypes(), (*client.Client).Type, p.showType),
		p.putTypeCmd(), p.deleteTypeCmd())
	c.AddCommand(controlCommands(p, typeTable(), p.completeTypes(), (*client.Client).ControlType,
		action{"pause", "Begin no more attempts at tasks of a type"}, action{"resume", "Begin attempts again"})...)
	return c
}

func (p *program) deleteTypeCmd() *cobra.Command {
	var force bool
	cmd := &cobra.Command{Use: "delete NAME", Short: "Forget what was put of a task type", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeTypes()),
		Long: "Forget what was put of a task type. Of a type that an executor offers, what the executor declares holds again.\n" +
			"A type of which there are tasks is refused, unless --force is given: then all its tasks are canceled and deleted.",
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.DeleteType(ctx, args[0], force); err != nil {
				return err
			}
			fmt.Fprintln(p.err, "deleted", args[0])
			return nil
		})}
	cmd.Flags().BoolVar(&force, "force", false, "cancel and delete all tasks of the type, whoever owns them")
	return cmd
}

func typeTable() tableFormat[api.Type] {
	return tableFormat[api.Type]{
		prose:  true,
		header: []string{"NAME", "EXECUTOR", "AVAILABLE", "READY", "WAITING", "ACTIVE", "DESCRIPTION"},
		name:   func(t api.Type) string { return t.Name },
		cells: func(t api.Type) []string {
			return []string{t.Name, orDash(t.Executor), availableText(t), strconv.FormatInt(t.Counts.Ready, 10),
				strconv.FormatInt(t.Counts.Waiting, 10), strconv.FormatInt(t.Counts.Active, 10), t.Description}
		},
	}
}

// availableText says whether attempts at tasks of a type can begin.
func availableText(t api.Type) string {
	if t.Paused {
		return "paused"
	}
	return yesNo(t.Available)
}

func (p *program) showType(t api.Type) error {
	l := t.Limits
	// of is a value with whose word it is, if anybody's.
	of := func(name, value string) string {
		if origin := t.Origin[name]; value != "" && origin != "" && origin != task.OriginDefault {
			return value + " (" + string(origin) + ")"
		}
		return value
	}
	concurrency := make([]string, len(l.Concurrency))
	for i, c := range l.Concurrency {
		limit := task.Concurrency(c)
		concurrency[i] = limit.String()
	}
	rate := ""
	if l.Rate != nil {
		rate = fmt.Sprintf("%v in a second, %d at once", l.Rate.PerSecond, l.Rate.Burst)
	}
	return printFields(p, t, t.Name, []field{
		{"Name", t.Name}, {"Description", of("description", t.Description)}, {"Executor", of("executor", orEmpty(t.Executor))}, {"Available", availableText(t)}, {"Revertible", yesNo(t.Revertible)},
		{"Timeout", of("timeout", l.Timeout)}, {"Deadline", of("deadline", unlessNone(l.Deadline, "0s"))}, {"Attempts", of("max_attempts", strconv.Itoa(l.MaxAttempts))}, {"Lost", of("max_lost", strconv.Itoa(l.MaxLost))},
		{"Backoff", of("backoff", l.Backoff.Initial+" to "+l.Backoff.Max)}, {"Retain", of("retain", retainText(l.Retain))}, {"Priority", of("priority", strconv.Itoa(l.Priority))},
		{"Queue limit", of("queue_limit", unlessNone(strconv.FormatInt(l.QueueLimit, 10), "0"))}, {"Concurrency", of("concurrency", strings.Join(concurrency, ", "))}, {"Rate", of("rate", rate)},
		{"Max input", of("max_input", fmt.Sprintf("%d bytes", l.MaxInput))}, {"Max result", of("max_result", fmt.Sprintf("%d bytes", l.MaxResult))}, {"Route", of("route", labelText(l.Route))}, {"Min version", of("min_version", orEmpty(l.MinVersion))},
		{"Ready", strconv.FormatInt(t.Counts.Ready, 10)}, {"Waiting", strconv.FormatInt(t.Counts.Waiting, 10)}, {"Active", strconv.FormatInt(t.Counts.Active, 10)},
		{"Input", indentedJSON(t.Input)}, {"Result", indentedJSON(t.Result)},
	})
}

// unlessNone is a value, or "" if it is the one that stands for none.
func unlessNone(value, none string) string {
	if value == none {
		return ""
	}
	return value
}

func retainText(retain string) string {
	if retain == "0s" {
		return "for ever"
	}
	return retain
}
