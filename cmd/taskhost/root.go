package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/config"
)

const exitHelp = `Exit codes:
  0    all is well
  1    error
  2    the command line is wrong
  3    the task failed
  4    not allowed
  5    not found
  6    conflict
  7    the task was canceled
  124  the wait timed out
  130  interrupted`

const envHelp = `Environment:
  TASKHOST_ADDR    address of the server (default ` + config.DefaultListen + `)
  TASKHOST_TOKEN   token to call it with
  TASKHOST_CA_CERT file with the authorities that its certificate is checked by
  TASKHOST_CERT    file with a client certificate, and TASKHOST_KEY with its key
  TASKHOST_CONFIG  config file of the server, or the worker
  NO_COLOR         no colors, if set`

func (p *program) root() *cobra.Command {
	addr := os.Getenv("TASKHOST_ADDR")
	if addr == "" {
		addr = config.DefaultListen
	}
	root := &cobra.Command{
		Use:           "taskhost",
		Short:         "Durable tasks, and the executors that run them",
		Long:          "taskhost makes work durable: submit a task, and it is run until it is final.\n\n" + exitHelp + "\n\n" + envHelp,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			p.parsed = true
			if err := checkArgs(cmd, args); err != nil {
				return err
			}
			if !slices.Contains(formats, p.format) {
				return usagef("-o %s: want one of %s", p.format, strings.Join(formats, ", "))
			}
			return nil
		},
	}
	root.Version = version()
	root.SetVersionTemplate("taskhost {{.Version}}\n")
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.PersistentFlags().StringVar(&p.addr, "addr", addr, "address of the server: host:port or a URL (TASKHOST_ADDR)")
	root.PersistentFlags().StringVarP(&p.format, "output", "o", formatTable, "how to print: "+strings.Join(formats, ", "))
	completeFlag(root, "output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", usualWidth)))
	root.SetHelpTemplate(root.HelpTemplate() + "{{if .HasParent}}\n" + exitHelp + "\n{{end}}")
	root.AddCommand(p.statusCmd(), p.taskCmd(), p.groupCmd(), p.scheduleCmd(), p.resourceCmd(), p.actionCmd(), p.typeCmd())
	root.AddCommand(p.executorCmd(), p.boardCmd(), p.pluginCmd(), p.workerCmd(), p.tokenCmd(), p.whoamiCmd(), p.quotaCmd(), p.auditCmd(), p.versionCmd())
	root.AddCommand(p.serverCmd(), p.devCmd(), p.configCmd(), p.storeCmd())
	root.InitDefaultCompletionCmd() // now, so that it can be told about shells it does not know
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		asGroup(c)
	}
	asGroup(root)
	fitHelp(root)
	return root
}
