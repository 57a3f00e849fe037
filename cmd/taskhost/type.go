package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func (p *program) typeCmd() *cobra.Command {
	return group("type", "What can be submitted",
		listCommand(p, "List task types", typeTable(), (*client.Client).Types, func(all []api.Type) any { return api.TypeList{Types: all} }),
		getCommand(p, "Show a task type with its schemas", p.completeTypes(), (*client.Client).Type, p.showType))
}

func typeTable() tableFormat[api.Type] {
	return tableFormat[api.Type]{
		prose:  true,
		header: []string{"NAME", "EXECUTOR", "AVAILABLE", "READY", "WAITING", "ACTIVE", "DESCRIPTION"},
		name:   func(t api.Type) string { return t.Name },
		cells: func(t api.Type) []string {
			return []string{t.Name, orDash(t.Executor), yesNo(t.Available), strconv.FormatInt(t.Counts.Ready, 10),
				strconv.FormatInt(t.Counts.Waiting, 10), strconv.FormatInt(t.Counts.Active, 10), t.Description}
		},
	}
}

func (p *program) showType(t api.Type) error {
	l := t.Limits
	return printFields(p, t, t.Name, []field{
		{"Name", t.Name}, {"Description", t.Description}, {"Executor", orEmpty(t.Executor)}, {"Available", yesNo(t.Available)}, {"Revertible", yesNo(t.Revertible)},
		{"Timeout", l.Timeout}, {"Attempts", strconv.Itoa(l.MaxAttempts)}, {"Lost", strconv.Itoa(l.MaxLost)}, {"Retain", l.Retain},
		{"Max input", fmt.Sprintf("%d bytes", l.MaxInput)}, {"Max result", fmt.Sprintf("%d bytes", l.MaxResult)}, {"Route", labelText(l.Route)},
		{"Ready", strconv.FormatInt(t.Counts.Ready, 10)}, {"Waiting", strconv.FormatInt(t.Counts.Waiting, 10)}, {"Active", strconv.FormatInt(t.Counts.Active, 10)},
		{"Input", indentedJSON(t.Input)}, {"Result", indentedJSON(t.Result)},
	})
}
