package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func (p *program) historyCmd() *cobra.Command {
	return &cobra.Command{Use: "history ID", Short: "Show every transition of a task, oldest first", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeTasks()),
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			events, err := c.History(ctx, args[0])
			if err != nil {
				return err
			}
			return printList(p, tableFormat[api.Event]{
				prose:  true,
				header: []string{"SEQ", "AT", "FROM", "TO", "ATTEMPT", "BY", "MESSAGE"},
				name:   func(e api.Event) string { return e.To.String() },
				cells: func(e api.Event) []string {
					from := "-"
					if e.From != nil {
						from = e.From.String()
					}
					return []string{strconv.FormatInt(e.Seq, 10), tableTime(e.At), from, e.To.String(), strconv.Itoa(e.Attempt), e.By, e.Message}
				},
			}, events, api.History{Events: events})
		})}
}
