package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func executorTable() tableFormat[api.Executor] {
	return tableFormat[api.Executor]{
		prose:  true,
		header: []string{"NAME", "PLUGIN", "STATE", "SLOTS", "TYPES", "REASON"},
		name:   func(e api.Executor) string { return e.Name },
		cells: func(e api.Executor) []string {
			return []string{e.Name, e.Plugin, string(e.State), slotText(e.Slots), strings.Join(e.Types, ", "), orDash(e.Reason)}
		},
	}
}

func (p *program) executorCmd() *cobra.Command {
	c := group("executor", "What runs tasks",
		listCommand(p, "List executors", executorTable(), (*client.Client).Executors, func(all []api.Executor) any { return api.ExecutorList{Executors: all} }),
		getCommand(p, "Show an executor with its processes", p.completeExecutors(), (*client.Client).Executor, p.showExecutor))
	c.AddCommand(controlCommands(p, executorTable(), p.completeExecutors(), (*client.Client).ControlExecutor,
		action{"pause", "Start no more attempts on an executor"}, action{"resume", "Start attempts again"},
		action{"drain", "Let an executor finish what it runs, then stop it"}, action{"restart", "Replace an executor's process"})...)
	return c
}

func (p *program) showExecutor(e api.Executor) error {
	fields := []field{{"Name", e.Name}, {"Plugin", e.Plugin}, {"Version", e.Version}, {"State", string(e.State)}, {"Reason", orEmpty(e.Reason)},
		{"Last error", orEmpty(e.LastError)}, {"Slots", slotText(e.Slots)}, {"Types", strings.Join(e.Types, ", ")}}
	for _, i := range e.Instances {
		text := fmt.Sprintf("%s pid %d, version %s, %s since %s, %d restarts", i.ID, i.Pid, i.Version, i.State, timeText(&i.Since), i.Restarts)
		if i.Reason != "" {
			text += ": " + i.Reason
		}
		fields = append(fields, field{"Process", text})
	}
	for _, n := range e.Nodes {
		fields = append(fields, field{"Worker", fmt.Sprintf("%s at %s, %s slots", n.Name, n.Address, slotText(n.Slots))})
	}
	return printFields(p, e, e.Name, fields)
}
