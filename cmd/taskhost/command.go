package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	c.AddCommand(subs...)
	asGroup(c)
	return c
}

// fitHelp has the help of a command, and of those below it, fit a usual terminal: its
// sentences are set anew, and lines that are indented stay.
func fitHelp(c *cobra.Command) {
	var out, sentences []string
	end := func() {
		out = append(out, wrap(strings.Join(sentences, " "), usualWidth)...)
		sentences = nil
	}
	for line := range strings.SplitSeq(c.Long, "\n") {
		if line != "" && !strings.ContainsAny(line[:1], " \t") {
			sentences = append(sentences, line)
			continue
		}
		end()
		out = append(out, line)
	}
	end()
	c.Long = strings.Join(out, "\n")
	for _, sub := range c.Commands() {
		fitHelp(sub)
	}
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
