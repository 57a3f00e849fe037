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

func (p *program) logsCmd() *cobra.Command {
	var o client.LogOptions
	var since string
	cmd := &cobra.Command{Use: "logs ID", Short: "Print a task's log lines", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeTasks())}
	f := cmd.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on until the task is final")
	f.StringVar(&since, "since", "", "not before this time (RFC 3339), or this long ago, such as 10m; or after the line with this seq, which -o jsonl shows")
	f.StringVar(&o.Level, "level", "", "this level and above: trace, debug, info, warn or error")
	f.StringVar(&o.Text, "text", "", "with this in the line, whatever letters are capital")
	f.IntVar(&o.Attempt, "attempt", 0, "of this attempt")
	refuseEmpty(cmd, "since", "level", "text")
	completeFlag(cmd, "level", cobra.FixedCompletions([]string{"trace", "debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder))
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		var err error
		if n, nerr := strconv.ParseInt(since, 10, 64); nerr == nil && n >= 0 {
			o.After = n
		} else if o.Since, err = pastTime("--since", since); err != nil {
			return err
		}
		id, err := fullID(ctx, c, args[0])
		if err != nil {
			return err
		}
		body := api.LogList{Lines: []task.LogLine{}}
		for l, err := range c.Logs(ctx, id, o) {
			if err != nil {
				return err
			}
			switch {
			case p.format == formatJSON && !o.Follow:
				body.Lines = append(body.Lines, l)
			case p.format == formatJSON, p.format == formatLines:
				err = p.jsonLine(l)
			default:
				_, err = fmt.Fprintln(p.out, logLine(&l))
			}
			if err != nil {
				return err
			}
		}
		if p.format == formatJSON && !o.Follow {
			return p.json(body)
		}
		return nil
	})
	return cmd
}

// logLine is a log line for people to read.
func logLine(l *task.LogLine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-5s %s", clockTime(l.At), strings.ToUpper(l.Level), l.Message)
	var long strings.Builder // what has several lines, as a stack has
	for _, k := range sortedKeys(l.Fields) {
		if v := strings.TrimRight(l.Fields[k], "\n"); strings.Contains(v, "\n") {
			fmt.Fprintf(&long, "\n%s=\n%s", k, v)
		} else {
			fmt.Fprintf(&b, " %s=%q", k, v)
		}
	}
	return foldLines(b.String() + long.String())
}
