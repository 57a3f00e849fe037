package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func (p *program) typeCmd() *cobra.Command {
	return group("type", "What can be submitted",
		&cobra.Command{Use: "list", Short: "List task types", Args: cobra.NoArgs,
			RunE: p.remote(func(ctx context.Context, c *client.Client, _ []string) error {
				types, err := c.Types(ctx)
				if err != nil {
					return err
				}
				return list(p, rows[api.Type]{
					header: []string{"NAME", "EXECUTOR", "AVAILABLE", "READY", "WAITING", "ACTIVE", "DESCRIPTION"},
					name:   func(t api.Type) string { return t.Name },
					cells: func(t api.Type) []string {
						return []string{t.Name, orDash(t.Executor), yes(t.Available), strconv.FormatInt(t.Counts.Ready, 10),
							strconv.FormatInt(t.Counts.Waiting, 10), strconv.FormatInt(t.Counts.Active, 10), t.Description}
					},
				}, types, api.TypeList{Types: types})
			})},
		&cobra.Command{Use: "get NAME", Short: "Show a task type with its schemas", Args: cobra.ExactArgs(1),
			RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
				t, err := c.Type(ctx, args[0])
				if err != nil {
					return err
				}
				l := t.Limits
				return show(p, t, t.Name, []pair{
					{"Name", t.Name}, {"Description", t.Description}, {"Executor", deref(t.Executor)}, {"Available", yes(t.Available)}, {"Revertible", yes(t.Revertible)},
					{"Timeout", l.Timeout}, {"Attempts", strconv.Itoa(l.MaxAttempts)}, {"Lost", strconv.Itoa(l.MaxLost)}, {"Retain", l.Retain},
					{"Max input", fmt.Sprintf("%d bytes", l.MaxInput)}, {"Max result", fmt.Sprintf("%d bytes", l.MaxResult)}, {"Route", labelText(l.Route)},
					{"Ready", strconv.FormatInt(t.Counts.Ready, 10)}, {"Waiting", strconv.FormatInt(t.Counts.Waiting, 10)}, {"Active", strconv.FormatInt(t.Counts.Active, 10)},
					{"Input", indented(t.Input)}, {"Result", indented(t.Result)},
				})
			})})
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func indented(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	return b.String()
}
