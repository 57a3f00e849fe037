package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/sdk"
)

// program is one run of the command line.
type program struct {
	builtins []sdk.Plugin
	in       io.Reader
	out, err io.Writer

	addr   string
	format string
	// begun says that flags and arguments were understood: an error before is one of usage.
	begun bool
}

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
  TASKHOST_CONFIG  config file of the server
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
		PersistentPreRunE: func(*cobra.Command, []string) error {
			p.begun = true
			if !slices.Contains(formats, p.format) {
				return usagef("-o %s: want one of %s", p.format, strings.Join(formats, ", "))
			}
			return nil
		},
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.PersistentFlags().StringVar(&p.addr, "addr", addr, "address of the server: host:port or a URL (TASKHOST_ADDR)")
	root.PersistentFlags().StringVarP(&p.format, "output", "o", formatTable, "how to print: "+strings.Join(formats, ", "))
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	root.SetHelpTemplate(root.HelpTemplate() + "{{if .HasParent}}\n" + exitHelp + "\n{{end}}")
	root.AddCommand(p.taskCmd(), p.typeCmd(), p.executorCmd(), p.pluginCmd(), p.workerCmd(), p.versionCmd())
	root.AddCommand(hostCommands(p)...)
	root.InitDefaultCompletionCmd() // now, so that it can be told about shells it does not know
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		asGroup(c)
	}
	asGroup(root)
	return root
}

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	c.AddCommand(subs...)
	asGroup(c)
	return c
}

// asGroup has a command without work of its own refuse what is none of its
// commands; cobra would print the help and call that a success.
func asGroup(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		msg := fmt.Sprintf("%q is not a command of %q", args[0], c.CommandPath())
		if s := c.SuggestionsFor(args[0]); len(s) > 0 {
			msg += fmt.Sprintf(", did you mean %q?", s[0])
		}
		return usagef("%s; see %s --help", msg, c.CommandPath())
	}
}
