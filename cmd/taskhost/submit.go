package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

// submission is the flags of task submit.
type submission struct {
	task            taskFlags
	runAt, deadline string
	group           string
	wait, follow    bool
	waitTimeout     time.Duration
	idempotencyKey  string
	req             api.TaskRequest
	batch           batch
}

func (p *program) submitCmd() *cobra.Command {
	var s submission
	cmd := &cobra.Command{Use: "submit TYPE", Short: "Submit a task, or the tasks of a file", Args: s.args, ValidArgsFunction: onlyFirst(p.completeTypes()),
		Long: "Submit a task. Without --wait or --follow it prints the task; with one of them it waits until the task is final and\n" +
			"writes its result to stdout (with -o json, the task). An interrupt detaches: the task goes on." + batchHelp,
		Example: "  taskhost task submit sum --input '[1, 2, 3]' --wait\n" +
			"  taskhost task submit import --input @image.json --follow\n" +
			"  taskhost task submit sum --batch tasks.jsonl",
	}
	f := cmd.Flags()
	s.task.add(p, cmd)
	f.BoolVar(&s.wait, "wait", false, "wait until the task is final and write its result")
	f.BoolVar(&s.follow, "follow", false, "the same, and show progress and logs on stderr")
	f.DurationVar(&s.waitTimeout, "wait-timeout", 0, "wait no longer than this (exit code 124); 0 for ever")
	f.StringVar(&s.req.Key, "key", "", "a name that is unique within owner and type while the task exists")
	f.StringVar(&s.group, "group", "", "the group that the task joins, which must be open")
	f.StringVar(&s.req.OnConflict, "on-conflict", "", "if another task has the key: refuse, existing (it is the answer), or replace (it is canceled if it waits)")
	f.StringVar(&s.runAt, "run-at", "", "not before this time (RFC 3339), or after this long, such as 10m")
	f.StringVar(&s.deadline, "deadline", "", "the task fails if it is not done by this time, or within this long")
	f.StringVar(&s.idempotencyKey, "idempotency-key", "", "submit once, however often this is run with the same key")
	f.StringVar(&s.batch.file, "batch", "", "submit the tasks of this file, each a line of JSON, or of stdin: -")
	f.IntVar(&s.batch.size, "batch-size", batchTasks, "tasks to a request, which is all or none; 10000 at the most")
	refuseEmpty(cmd, "key", "group", "on-conflict", "run-at", "deadline", "idempotency-key", "batch")
	completeFlag(cmd, "on-conflict", cobra.FixedCompletions([]string{"refuse", "existing", "replace"}, cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "group", p.completeGroups())
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return s.checkBatchFlags(cmd) }
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) (err error) {
		if s.batch.file != "" {
			s.batch.taskType = strings.Join(args, "")
			s.batch.idempotencyKey = s.idempotencyKey
			return p.submitBatch(ctx, c, &s.batch)
		}
		s.req.Type = args[0]
		if err := s.task.apply(cmd, p.in, &s.req); err != nil {
			return err
		}
		if s.req.RunAt, err = futureTime("--run-at", s.runAt); err != nil {
			return err
		}
		if s.req.Deadline, err = futureTime("--deadline", s.deadline); err != nil {
			return err
		}
		if s.group != "" {
			if s.req.Group, err = fullGroupID(ctx, c, s.group); err != nil {
				return err
			}
		}
		return p.submit(ctx, c, &s)
	})
	return cmd
}

// args takes a type, which the lines of a batch may name themselves.
func (s *submission) args(cmd *cobra.Command, args []string) error {
	if s.batch.file != "" {
		return cobra.MaximumNArgs(1)(cmd, args)
	}
	return cobra.ExactArgs(1)(cmd, args)
}

// singleFlags are the flags of a single task, which the lines of a batch say for themselves.
var singleFlags = []string{"input", "wait", "follow", "wait-timeout", "key", "on-conflict", "label", "priority", "run-at", "deadline", "timeout", "retain",
	"max-attempts", "max-lost", "executor", "route", "group", "exclusive", "shared"}

// checkBatchFlags refuses flags of a single task where there are many, and the other way round.
func (s *submission) checkBatchFlags(cmd *cobra.Command) error {
	if s.batch.file == "" {
		if cmd.Flags().Changed("batch-size") {
			return usagef("--batch-size is of --batch, which is not given")
		}
		return nil
	}
	if name := firstGiven(cmd, singleFlags); name != "" {
		return usagef("--%s is of a single task: with --batch each line says it for itself", name)
	}
	return nil
}

// readJSON reads the JSON that a flag was given: itself, @file, or - for stdin.
func readJSON(flag, arg string, in io.Reader) (json.RawMessage, error) {
	if arg == "" {
		return nil, nil
	}
	data, err := readArgument(flag, arg, in)
	if err != nil {
		return nil, err
	}
	var v json.RawMessage
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, usagef("%s is not JSON: %v (a string needs its quotes: '\"text\"')", flag, err)
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
