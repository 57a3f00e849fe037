package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) resultCmd() *cobra.Command {
	return &cobra.Command{Use: "result ID", Short: "Write a task's result to stdout, byte for byte", Args: cobra.ExactArgs(1),
		Long:              "Write a task's result to stdout, byte for byte unless that is a terminal, which some bytes would steer.",
		ValidArgsFunction: onlyFirst(p.completeTasks(finalStates()...)),
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			_, data, err := c.Result(ctx, args[0])
			if err == nil {
				return p.writeResult(data)
			}
			if task.CodeOf(err) == task.CodeNotFound { // no task, or none that left a result?
				if t, gerr := c.Get(ctx, args[0]); gerr == nil {
					if failed := outcomeError(&t); failed != nil {
						return failed
					}
				}
			}
			return err
		})}
}

// printOutcome writes the result of a final task, or the task where that was asked for.
func (p *program) printOutcome(ctx context.Context, c *client.Client, t api.Task) error {
	if p.format != formatTable {
		if err := printFields(p, t, t.ID, nil); err != nil {
			return err
		}
		return outcomeError(&t)
	}
	if err := outcomeError(&t); err != nil || t.ResultType == nil {
		return err
	}
	var contentType string
	var data []byte
	err := c.Outlast(ctx, func() (err error) { // the host may end with the task that it let finish
		contentType, data, err = c.Result(ctx, t.ID)
		return err
	})
	if err != nil {
		return err
	}
	if err := p.writeResult(data); err != nil {
		return err
	}
	if (task.IsJSON(contentType) || strings.HasPrefix(contentType, "text/")) && (len(data) == 0 || data[len(data)-1] != '\n') {
		_, err = io.WriteString(p.out, "\n")
	}
	return err
}

// writeResult writes a result byte for byte, unless a terminal would act upon it.
func (p *program) writeResult(data []byte) error {
	if isTerminal(p.out) {
		data = []byte(printable(string(data)))
	}
	_, err := p.out.Write(data)
	return err
}
