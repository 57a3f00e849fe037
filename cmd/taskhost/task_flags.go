package main

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
)

// taskFlags are the flags that say what a task is to be, wherever one is asked for.
type taskFlags struct {
	input             string
	labels, route     []string
	exclusive, shared []string
	timeout, retain   time.Duration
	maxLost           int
	executor          string
	priority          int
	maxAttempts       int
}

func (t *taskFlags) add(p *program, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.input, "input", "", "the input: JSON, @file, or - for stdin")
	f.StringArrayVar(&t.labels, "label", nil, "a label, name=value; may repeat")
	f.IntVar(&t.priority, "priority", 0, "higher runs first")
	f.DurationVar(&t.timeout, "timeout", 0, "how long one attempt may take")
	f.DurationVar(&t.retain, "retain", 0, "how long the task is kept once final; 0 for ever")
	f.IntVar(&t.maxAttempts, "max-attempts", 0, "how often the script may fail")
	f.IntVar(&t.maxLost, "max-lost", 0, "how many attempts may be lost; 0: never run twice")
	f.StringVar(&t.executor, "executor", "", "run on this executor, whatever the server's config says")
	f.StringArrayVar(&t.route, "route", nil, "run on a worker with this label, name=value; may repeat")
	f.StringArrayVar(&t.exclusive, "exclusive", nil, "a resource that the task has for itself until it is final; may repeat")
	f.StringArrayVar(&t.shared, "shared", nil, "a resource that it has with others who share it; may repeat")
	completeFlag(cmd, "executor", p.completeExecutors())
	completeFlag(cmd, "exclusive", p.completeResources())
	completeFlag(cmd, "shared", p.completeResources())
}

// apply lays the flags that were given over req.
func (t *taskFlags) apply(cmd *cobra.Command, in io.Reader, req *api.TaskRequest) error {
	read := map[string]func() error{
		"input":        func() (err error) { req.Input, err = readJSON("--input", t.input, in); return err },
		"label":        func() (err error) { req.Labels, err = parsePairs("--label", t.labels); return err },
		"priority":     func() error { req.Priority = t.priority; return nil },
		"timeout":      func() error { req.Timeout = api.Duration(t.timeout); return nil },
		"retain":       func() error { req.Retain = (*api.Duration)(&t.retain); return nil },
		"max-attempts": func() error { req.MaxAttempts = t.maxAttempts; return nil },
		"max-lost":     func() error { req.MaxLost = &t.maxLost; return nil },
		"executor":     func() error { req.Executor = t.executor; return nil },
		"route":        func() (err error) { req.Route, err = parsePairs("--route", t.route); return err },
		"exclusive":    func() error { req.Exclusive = t.exclusive; return nil },
		"shared":       func() error { req.Shared = t.shared; return nil },
	}
	for _, name := range sortedKeys(read) {
		if !cmd.Flags().Changed(name) {
			continue
		}
		if err := read[name](); err != nil {
			return err
		}
	}
	return nil
}

// given says that any flag was given of those that say what a task is to be.
func (t *taskFlags) given(cmd *cobra.Command) bool {
	return firstGiven(cmd, strings.Fields("input label priority timeout retain max-attempts max-lost executor route exclusive shared")) != ""
}
