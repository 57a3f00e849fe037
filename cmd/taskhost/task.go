package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) taskCmd() *cobra.Command {
	return group("task", "Submit, watch and change tasks",
		p.submitCmd(), p.getCmd(), p.listCmd(), p.waitCmd(), p.watchCmd(), p.logsCmd(), p.historyCmd(), p.resultCmd(),
		p.changeCmd("cancel", "Ask tasks to end", func(ctx context.Context, c *client.Client, id string) (api.Task, error) { return c.Cancel(ctx, id) }),
		p.changeCmd("retry", "Run failed, canceled or reverted tasks again", func(ctx context.Context, c *client.Client, id string) (api.Task, error) { return c.Retry(ctx, id) }),
		p.deleteCmd())
}

func taskRows() rows[api.Task] {
	return rows[api.Task]{
		header: []string{"ID", "TYPE", "STATE", "EXECUTOR", "ATTEMPT", "PROGRESS", "AGE"},
		name:   func(t api.Task) string { return t.ID },
		cells: func(t api.Task) []string {
			state := t.State.String()
			if t.Waiting != nil && *t.Waiting != "queued" {
				state += " (" + *t.Waiting + ")"
			}
			return []string{t.ID, t.Type, state, orDash(t.Executor), fmt.Sprintf("%d/%d", t.Attempt, t.MaxAttempts), progressText(t.Progress), age(t.CreatedAt)}
		},
	}
}

func progressText(pr *api.TaskProgress) string {
	switch {
	case pr == nil:
		return "-"
	case pr.Total > 0:
		return fmt.Sprintf("%d%%", int(100*float64(pr.Done)/float64(pr.Total)))
	}
	return strconv.FormatInt(pr.Done, 10)
}

func (p *program) showTask(t api.Task) error {
	fields := []pair{
		{"ID", t.ID}, {"Type", t.Type}, {"Key", deref(t.Key)}, {"Owner", t.Owner}, {"Labels", labelText(t.Labels)},
		{"State", t.State.String()}, {"Waiting", waitText(t)}, {"Executor", deref(t.Executor)},
		{"Attempt", fmt.Sprintf("%d of %d", t.Attempt, t.MaxAttempts)}, {"Lost", fmt.Sprintf("%d of %d", t.Lost, t.MaxLost)},
		{"Priority", strconv.Itoa(t.Priority)}, {"Input", string(t.Input)},
	}
	if pr := t.Progress; pr != nil {
		fields = append(fields, pair{"Progress", strings.TrimSpace(fmt.Sprintf("%d of %d (%s) %s", pr.Done, pr.Total, progressText(pr), pr.Message))})
	}
	if t.Error != nil {
		fields = append(fields, pair{"Error", fmt.Sprintf("%s: %s (attempt %d)", t.Error.Code, t.Error.Message, t.Error.Attempt)})
	}
	if t.ResultType != nil {
		result := string(t.Result)
		if result == "null" && !task.IsJSON(*t.ResultType) {
			result = "see `taskhost task result " + t.ID + "`"
		}
		fields = append(fields, pair{"Result", result}, pair{"Result type", *t.ResultType})
	}
	fields = append(fields, pair{"Created", stamp(&t.CreatedAt)}, pair{"Run at", stamp(&t.RunAt)}, pair{"Started", stamp(t.StartedAt)},
		pair{"Finished", stamp(t.FinishedAt)}, pair{"Expires", stamp(t.ExpiresAt)}, pair{"Cancel asked", stamp(t.CancelAt)}, pair{"Version", strconv.FormatInt(t.Version, 10)})
	return show(p, t, t.ID, fields)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func labelText(m map[string]string) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, " ")
}

func (p *program) getCmd() *cobra.Command {
	return &cobra.Command{Use: "get ID", Short: "Show a task", Args: cobra.ExactArgs(1),
		RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
			t, err := c.Get(ctx, args[0])
			if err != nil {
				return err
			}
			return p.showTask(t)
		})}
}

func (p *program) listCmd() *cobra.Command {
	var states, labels []string
	var o task.Filter
	var after, before string
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
	f.BoolVar(&o.Ascending, "oldest", false, "oldest first")
	f.IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateList(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	cmd.RunE = p.remote(func(ctx context.Context, c *client.Client, _ []string) error {
		var err error
		if o.CreatedAfter, err = pastTime("--created-after", after); err != nil {
			return err
		}
		if o.CreatedBefore, err = pastTime("--created-before", before); err != nil {
			return err
		}
		if o.Labels, err = pairs("--label", labels); err != nil {
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

func stateList() []string {
	var out []string
	for _, s := range task.States() {
		out = append(out, s.String())
	}
	return out
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
		body.Tasks, body.Next = append(body.Tasks, page.Tasks...), page.Next
		if page.Next == nil || limit > 0 && len(body.Tasks) >= limit {
			break
		}
		if o.Cursor, err = page.Cursor(); err != nil {
			return err
		}
	}
	if err := list(p, taskRows(), body.Tasks, body); err != nil {
		return err
	}
	if body.Next != nil && p.format == formatTable {
		fmt.Fprintf(p.err, "there are more than %d: --limit 0 lists all\n", len(body.Tasks))
	}
	return nil
}

func (p *program) historyCmd() *cobra.Command {
	return &cobra.Command{Use: "history ID", Short: "Show every transition of a task, oldest first", Args: cobra.ExactArgs(1),
		RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
			events, err := c.History(ctx, args[0])
			if err != nil {
				return err
			}
			return list(p, rows[api.Event]{
				header: []string{"SEQ", "AT", "FROM", "TO", "ATTEMPT", "BY", "MESSAGE"},
				name:   func(e api.Event) string { return e.To.String() },
				cells: func(e api.Event) []string {
					from := "-"
					if e.From != nil {
						from = e.From.String()
					}
					return []string{strconv.FormatInt(e.Seq, 10), stamp(&e.At), from, e.To.String(), strconv.Itoa(e.Attempt), e.By, e.Message}
				},
			}, events, api.History{Events: events})
		})}
}

func (p *program) resultCmd() *cobra.Command {
	return &cobra.Command{Use: "result ID", Short: "Write a task's result to stdout, byte for byte unless that is a terminal", Args: cobra.ExactArgs(1),
		RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
			_, data, err := c.Result(ctx, args[0])
			if err == nil {
				return p.writeResult(data)
			}
			if task.CodeOf(err) == task.CodeNotFound { // no task, or none that left a result?
				if t, gerr := c.Get(ctx, args[0]); gerr == nil {
					if failed := outcome(&t); failed != nil {
						return failed
					}
				}
			}
			return err
		})}
}

func (p *program) changeCmd(verb, short string, do func(context.Context, *client.Client, string) (api.Task, error)) *cobra.Command {
	return &cobra.Command{Use: verb + " ID...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
			var done []api.Task
			err := eachID(ctx, c, args, func(id string) error {
				t, err := do(ctx, c, id)
				if err == nil {
					done = append(done, t)
				}
				return err
			})
			if len(done) == 0 {
				return err
			}
			var body any = api.TaskList{Tasks: done}
			if len(args) == 1 {
				body = done[0]
			}
			return errors.Join(list(p, taskRows(), done, body), err)
		})}
}

func (p *program) deleteCmd() *cobra.Command {
	return &cobra.Command{Use: "delete ID...", Short: "Delete final tasks and all that belongs to them", Args: cobra.MinimumNArgs(1),
		RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
			return eachID(ctx, c, args, func(id string) error {
				if err := c.Delete(ctx, id); err != nil {
					return err
				}
				fmt.Fprintln(p.err, "deleted", id)
				return nil
			})
		})}
}

// pastTime reads a time, or how long ago that was.
func pastTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	return parseTime(flag, s)
}

// parseTime reads the time that a flag was given, where that may also be a duration.
func parseTime(flag, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, usagef("%s %s: want a time such as 2026-11-23T12:00:00Z, or a duration such as 10m", flag, s)
	}
	if !task.ValidTime(t) {
		return t, usagef("%s %s is not %s", flag, s, task.TimeRange)
	}
	return t, nil
}

// pairs reads name=value flags.
func pairs(flag string, values []string) (map[string]string, error) {
	if len(values) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usagef("%s %s: want name=value", flag, v)
		}
		out[name] = value
	}
	return out, nil
}

// waitText is why a pending task waits, and what is missing.
func waitText(t api.Task) string {
	if reason := deref(t.WaitReason); reason != "" {
		return deref(t.Waiting) + ": " + reason
	}
	return deref(t.Waiting)
}
