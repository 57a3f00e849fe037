package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

// typeFlags are the flags of type put.
type typeFlags struct {
	board                                          bool
	spec, input, result                            string
	route, concurrency                             []string
	timeout, deadline, backoff, backoffMax, retain time.Duration
	maxLost                                        int
	rate                                           float64
	burst                                          int64
	retainSet, maxLostSet, rateSet                 bool
	req                                            api.TypeRequest
}

func (p *program) putTypeCmd() *cobra.Command {
	var t typeFlags
	cmd := &cobra.Command{Use: "put NAME", Short: "Say what holds for a task type", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeTypes()),
		Long: "Say what holds for a task type, in place of all that was put before. The type need not be offered by anything yet:\n" +
			"its tasks are accepted, and wait for an executor. What is put goes before what the executor declares, and the\n" +
			"server's config before both. Flags go before --spec.",
		Example: "  taskhost type put resize --queue-limit 64 --concurrency 1/label:tenant\n" +
			"  taskhost type put resize --spec @resize.json",
	}
	f := cmd.Flags()
	f.StringVar(&t.spec, "spec", "", "all of it as in the REST body: JSON, @file, or - for stdin")
	f.StringVar(&t.req.Description, "description", "", "what its tasks do")
	f.StringVar(&t.input, "input-schema", "", "the input's JSON Schema: JSON, or @file")
	f.StringVar(&t.result, "result-schema", "", "the result's JSON Schema: JSON, or @file")
	f.StringVar(&t.req.Executor, "executor", "", "the executor that serves it")
	f.BoolVar(&t.board, "board", false, "workers outside claim its tasks from the host's board")
	f.StringArrayVar(&t.route, "route", nil, "run on workers with this label, name=value; may repeat")
	f.StringVar(&t.req.MinVersion, "min-version", "", "the oldest version of the type that may run its tasks, as 1.4.0")
	f.DurationVar(&t.timeout, "timeout", 0, "how long one attempt may take")
	f.DurationVar(&t.deadline, "deadline", 0, "how long the whole task may take")
	f.IntVar(&t.req.MaxAttempts, "max-attempts", 0, "how often the script may fail")
	f.IntVar(&t.maxLost, "max-lost", 0, "how many attempts may be lost; 0: never run twice")
	f.DurationVar(&t.backoff, "backoff", 0, "how long a task rests after its first failure")
	f.DurationVar(&t.backoffMax, "backoff-max", 0, "the longest such rest")
	f.DurationVar(&t.retain, "retain", 0, "how long a final task is kept; 0 for ever")
	f.Int64Var(&t.req.QueueLimit, "queue-limit", 0, "how many tasks may wait")
	f.StringArrayVar(&t.concurrency, "concurrency", nil, "how many attempts may be under way: N, N/owner or N/label:NAME; may repeat; none for no limit")
	f.Float64Var(&t.rate, "rate", 0, "how many attempts may begin in a second")
	f.Int64Var(&t.burst, "burst", 0, "with --rate: how many at once after a rest")
	f.IntVar(&t.req.Priority, "priority", 0, "of tasks that name none; higher runs first")
	f.Int64Var(&t.req.MaxInput, "max-input", 0, "bytes that an input may have")
	f.Int64Var(&t.req.MaxResult, "max-result", 0, "bytes that a result may have")
	completeFlag(cmd, "executor", p.completeExecutors())
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		t.maxLostSet = cmd.Flags().Changed("max-lost")
		t.retainSet = cmd.Flags().Changed("retain")
		t.rateSet = cmd.Flags().Changed("rate") || cmd.Flags().Changed("burst")
	}
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if err := t.fill(p.in); err != nil {
			return err
		}
		put, err := c.PutType(ctx, args[0], t.req)
		if err != nil {
			return err
		}
		return printList(p, typeTable(), []api.Type{put}, put)
	})
	return cmd
}

// fill reads the spec, and what the flags say over it.
func (t *typeFlags) fill(in io.Reader) (err error) {
	said := t.req
	if t.req, err = readTypeSpec(t.spec, in); err != nil {
		return err
	}
	over(&t.req.Description, said.Description)
	over(&t.req.Executor, said.Executor)
	over(&t.req.MinVersion, said.MinVersion)
	over(&t.req.MaxAttempts, said.MaxAttempts)
	over(&t.req.QueueLimit, said.QueueLimit)
	over(&t.req.Priority, said.Priority)
	over(&t.req.MaxInput, said.MaxInput)
	over(&t.req.MaxResult, said.MaxResult)
	over(&t.req.Timeout, api.Duration(t.timeout))
	over(&t.req.Deadline, api.Duration(t.deadline))
	if t.maxLostSet {
		t.req.MaxLost = &t.maxLost
	}
	if t.board {
		t.req.Board = &t.board
	}
	if t.retainSet {
		t.req.Retain = (*api.Duration)(&t.retain)
	}
	if t.backoff != 0 || t.backoffMax != 0 {
		if t.req.Backoff == nil {
			t.req.Backoff = &api.BackoffRequest{}
		}
		over(&t.req.Backoff.Initial, api.Duration(t.backoff))
		over(&t.req.Backoff.Max, api.Duration(t.backoffMax))
	}
	if t.rateSet {
		t.req.Rate = &api.RateLimit{PerSecond: t.rate, Burst: t.burst}
	}
	return t.fillDocuments(in)
}

func (t *typeFlags) fillDocuments(in io.Reader) error {
	for _, s := range []struct {
		flag, arg string
		to        *json.RawMessage
	}{{"--input-schema", t.input, &t.req.Input}, {"--result-schema", t.result, &t.req.Result}} {
		if s.arg == "" {
			continue
		}
		schema, err := readJSON(s.flag, s.arg, in)
		if err != nil {
			return err
		}
		*s.to = schema
	}
	route, err := parsePairs("--route", t.route)
	if err != nil {
		return err
	}
	if route != nil {
		t.req.Route = route
	}
	if len(t.concurrency) > 0 {
		t.req.Concurrency, err = parseConcurrency(t.concurrency)
	}
	return err
}

// over lays what a flag says over what there is.
func over[T comparable](to *T, said T) {
	var none T
	if said != none {
		*to = said
	}
}

// readTypeSpec reads --spec; "" says nothing.
func readTypeSpec(arg string, in io.Reader) (t api.TypeRequest, err error) {
	if arg == "" {
		return t, nil
	}
	data, err := readJSON("--spec", arg, in)
	if err != nil {
		return t, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, usagef("--spec: %v", err)
	}
	return t, nil
}

func parseConcurrency(values []string) ([]api.ConcurrencyLimit, error) {
	limits := []api.ConcurrencyLimit{}
	for _, v := range values {
		if v == "none" && len(values) == 1 {
			return limits, nil
		}
		most, by, _ := strings.Cut(v, "/")
		n, err := strconv.ParseInt(most, 10, 64)
		if err != nil || n < 1 {
			return nil, usagef("--concurrency %s: want N, N/owner or N/label:NAME, with N of 1 or more", v)
		}
		limits = append(limits, api.ConcurrencyLimit{Max: n, By: by})
	}
	return limits, nil
}
