package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

// submission is the flags of task submit.
type submission struct {
	input, runAt, deadline string
	labels, route          []string
	timeout, retain        time.Duration
	maxLost                int
	wait, follow           bool
	waitTimeout            time.Duration
	idempotencyKey         string
	req                    api.TaskRequest
}

func (p *program) submitCmd() *cobra.Command {
	var s submission
	cmd := &cobra.Command{Use: "submit TYPE", Short: "Submit a task", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeTypes()),
		Long: "Submit a task. Without --wait or --follow it prints the task; with one of them it waits until the task is final and\n" +
			"writes its result to stdout (with -o json, the task). An interrupt detaches: the task goes on.",
		Example: "  taskhost task submit sum --input '[1, 2, 3]' --wait\n" +
			"  taskhost task submit import --input @image.json --follow",
	}
	f := cmd.Flags()
	f.StringVar(&s.input, "input", "", "the input: JSON, @file, or - for stdin")
	f.BoolVar(&s.wait, "wait", false, "wait until the task is final and write its result")
	f.BoolVar(&s.follow, "follow", false, "the same, and show progress and logs on stderr")
	f.DurationVar(&s.waitTimeout, "wait-timeout", 0, "wait no longer than this (exit code 124); 0 for ever")
	f.StringVar(&s.req.Key, "key", "", "a name that is unique within owner and type while the task exists")
	f.StringArrayVar(&s.labels, "label", nil, "a label, name=value; may repeat")
	f.IntVar(&s.req.Priority, "priority", 0, "higher runs first")
	f.StringVar(&s.runAt, "run-at", "", "not before this time (RFC 3339), or after this long, such as 10m")
	f.StringVar(&s.deadline, "deadline", "", "the task fails if it is not done by this time, or within this long")
	f.DurationVar(&s.timeout, "timeout", 0, "how long one attempt may take")
	f.DurationVar(&s.retain, "retain", 0, "how long the task is kept once final")
	f.IntVar(&s.req.MaxAttempts, "max-attempts", 0, "how often the script may fail")
	f.IntVar(&s.maxLost, "max-lost", 0, "how many attempts may be lost; 0: never run twice")
	f.StringVar(&s.req.Executor, "executor", "", "run on this executor, whatever the server's config says")
	f.StringArrayVar(&s.route, "route", nil, "run on a worker with this label, name=value; may repeat")
	f.StringVar(&s.idempotencyKey, "idempotency-key", "", "submit once, however often this is run with the same key")
	completeFlag(cmd, "executor", p.completeExecutors())
	var maxLostSet, retainSet bool
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		maxLostSet, retainSet = cmd.Flags().Changed("max-lost"), cmd.Flags().Changed("retain")
	}
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		s.req.Type = args[0]
		if maxLostSet {
			s.req.MaxLost = &s.maxLost
		}
		if retainSet {
			s.req.Retain = (*api.Duration)(&s.retain)
		}
		if err := s.fill(p.in); err != nil {
			return err
		}
		return p.submit(ctx, c, &s)
	})
	return cmd
}

// fill reads what the flags hold as text.
func (s *submission) fill(in io.Reader) error {
	var err error
	if s.req.Input, err = readInput(s.input, in); err != nil {
		return err
	}
	if s.req.RunAt, err = futureTime("--run-at", s.runAt); err != nil {
		return err
	}
	if s.req.Deadline, err = futureTime("--deadline", s.deadline); err != nil {
		return err
	}
	if s.req.Labels, err = parsePairs("--label", s.labels); err != nil {
		return err
	}
	s.req.Timeout = api.Duration(s.timeout)
	s.req.Route, err = parsePairs("--route", s.route)
	return err
}

func readInput(arg string, in io.Reader) (json.RawMessage, error) {
	if arg == "" {
		return nil, nil
	}
	data, err := readArgument("--input", arg, in)
	if err != nil {
		return nil, err
	}
	var v json.RawMessage
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, usagef("--input is not JSON: %v (a string needs its quotes: '\"text\"')", err)
	}
	return v, nil
}

func (p *program) submit(ctx context.Context, c *client.Client, s *submission) error {
	o := client.SubmitOptions{IdempotencyKey: s.idempotencyKey}
	t, err := c.Submit(ctx, s.req, o)
	if err != nil {
		return err
	}
	if !s.wait && !s.follow {
		return printList(p, taskTable(), []api.Task{t}, t)
	}
	waiting, cancel := withWaitTimeout(ctx, s.waitTimeout)
	defer cancel()
	t, err = p.waitTask(ctx, waiting, c, t.ID, s.waitTimeout, s.follow)
	if err != nil {
		return err
	}
	return p.printOutcome(ctx, c, t)
}
