package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func (p *program) boardCmd() *cobra.Command {
	c := group("board", "Claim tasks that wait on a board, and see who has which",
		p.claimsCmd(), p.claimCmd(), p.renewCmd(), p.progressCmd(), p.claimLogCmd(), p.checkpointCmd(), p.finishCmd(), p.failCmd(), p.releaseCmd(), p.trashCmd())
	c.Long = "A board holds tasks for workers outside: a worker claims one, has it for a lease, which every call with the claim's token renews, " +
		"and says how it ended. With a token that is not current the exit code is 6.\n" +
		"renew, progress, log and checkpoint end with exit code 7 where the task is to stop: end what is done for it, then fail or release it."
	return c
}

func heldTable() tableFormat[api.HeldClaim] {
	return tableFormat[api.HeldClaim]{
		header: []string{"TASK", "TYPE", "WORKER", "SINCE", "LEASE", "STOP"},
		name:   func(h api.HeldClaim) string { return h.Task },
		cells: func(h api.HeldClaim) []string {
			return []string{shortID(h.Task), h.Type, h.Worker, age(h.Since) + " ago", leaseText(h.LeaseUntil), orDash(h.Stop)}
		},
	}
}

// leaseText is how long a lease goes on.
func leaseText(until time.Time) string { return max(time.Until(until), 0).Round(time.Second).String() }

func (p *program) claimsCmd() *cobra.Command {
	return &cobra.Command{Use: "claims", Short: "List claims: who has what, since when", Args: cobra.NoArgs,
		RunE: p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			body := api.HeldClaimList{Claims: []api.HeldClaim{}}
			for h, err := range c.Claims(ctx) {
				if err != nil {
					return err
				}
				body.Claims = append(body.Claims, h)
			}
			return printList(p, heldTable(), body.Claims, body)
		})}
}

func claimTable() tableFormat[api.BoardClaim] {
	return tableFormat[api.BoardClaim]{
		header: []string{"TOKEN", "TASK", "TYPE", "LEASE"},
		name:   func(c api.BoardClaim) string { return c.Token },
		cells: func(c api.BoardClaim) []string {
			return []string{c.Token, shortID(c.Task.ID), c.Task.Type, leaseText(c.LeaseUntil)}
		},
	}
}

func (p *program) claimCmd() *cobra.Command {
	var r api.ClaimRequest
	var wait, lease time.Duration
	var labels []string
	worker, err := os.Hostname()
	if err != nil {
		worker = "shell"
	}
	cmd := &cobra.Command{Use: "claim TYPE...", Short: "Claim tasks of these types", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.completeTypes(),
		Long:    "Claim tasks of these types. -o name prints their tokens alone, -o json the tasks with their inputs. If there was none in time the exit code is 124.",
		Example: "  token=$(taskhost board claim resize --wait 30s -o name)\n  taskhost board finish \"$token\" --result @out.json",
	}
	f := cmd.Flags()
	f.StringVar(&r.Worker, "worker", worker, "who claims: a name that tells this worker from others")
	f.StringVar(&r.Version, "worker-version", "", "the worker's version, as 1.4.0, for task types that ask for a least one")
	f.IntVar(&r.Limit, "limit", 1, "how many tasks at the most")
	f.DurationVar(&wait, "wait", 0, "wait so long for a task, 5m at the most")
	f.DurationVar(&lease, "lease", time.Minute, "have each for so long without a word, 24h at the most")
	f.StringArrayVar(&labels, "label", nil, "a label of the worker, name=value, that tasks may ask for; may repeat")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		r.Types = args
		r.Wait, r.Lease = wait.String(), lease.String()
		var err error
		if r.Labels, err = parsePairs("--label", labels); err != nil {
			return err
		}
		claims, err := c.Claim(ctx, r)
		if err != nil {
			return err
		}
		if len(claims) == 0 {
			return &exitError{code: exitTimeout, msg: fmt.Sprintf("there was no task to claim within %s", wait)}
		}
		return printList(p, claimTable(), claims, api.ClaimAnswer{Claims: claims})
	})
	return cmd
}

// saysCmd is a command that says something of a claim and tells what the host answers.
func (p *program) saysCmd(use, short string, args cobra.PositionalArgs, say func(ctx context.Context, c *client.Client, token string, args []string) (api.ClaimHeard, error)) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			h, err := say(ctx, c, args[0], args[1:])
			if err != nil {
				return err
			}
			if err := printFields(p, h, args[0], []field{{"Lease until", timeText(&h.LeaseUntil)}, {"Stop", orEmpty(h.Stop)}}); err != nil {
				return err
			}
			if stop := orEmpty(h.Stop); stop == "cancel" || stop == "timeout" {
				return &exitError{code: exitCanceled, msg: "the task is to stop: " + stop}
			}
			return nil
		})}
}

func (p *program) renewCmd() *cobra.Command {
	return p.saysCmd("renew TOKEN", "Keep a claim for another lease", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, token string, _ []string) (api.ClaimHeard, error) {
		return c.RenewClaim(ctx, token)
	})
}

func (p *program) progressCmd() *cobra.Command {
	var report api.ClaimProgress
	cmd := p.saysCmd("progress TOKEN DONE [TOTAL]", "Say how far a claimed task is", cobra.RangeArgs(2, 3), func(ctx context.Context, c *client.Client, token string, args []string) (api.ClaimHeard, error) {
		for i, to := range []*int64{&report.Done, &report.Total}[:len(args)] {
			n, err := strconv.ParseInt(args[i], 10, 64)
			if err != nil || n < 0 {
				return api.ClaimHeard{}, usagef("%q is not a whole number from 0", args[i])
			}
			*to = n
		}
		return c.ClaimProgress(ctx, token, report)
	})
	cmd.Flags().StringVar(&report.Message, "message", "", "what is done at the moment")
	return cmd
}

// linesAtOnce is how many lines a request has that come from stdin.
const linesAtOnce = 500

func (p *program) claimLogCmd() *cobra.Command {
	level := "info"
	cmd := p.saysCmd("log TOKEN [LINE...]", "Log lines of a claimed task, those of stdin if there are none", cobra.MinimumNArgs(1), func(ctx context.Context, c *client.Client, token string, args []string) (h api.ClaimHeard, err error) {
		var lines []api.ClaimLine
		send := func() error {
			h, err = c.ClaimLog(ctx, token, lines...)
			lines = lines[:0]
			return err
		}
		for _, line := range args {
			lines = append(lines, api.ClaimLine{Level: level, Message: line})
		}
		if len(args) > 0 {
			return h, send()
		}
		in := bufio.NewScanner(p.in)
		for in.Scan() {
			if lines = append(lines, api.ClaimLine{Level: level, Message: in.Text()}); len(lines) == linesAtOnce {
				if err := send(); err != nil {
					return h, err
				}
			}
		}
		if err := in.Err(); err != nil {
			return h, usagef("stdin: %v", err)
		}
		return h, send()
	})
	cmd.Flags().StringVar(&level, "level", level, "trace, debug, info, warn or error")
	return cmd
}

func (p *program) checkpointCmd() *cobra.Command {
	return p.saysCmd("checkpoint TOKEN DATA|@FILE|-", "Save where the next attempt is to resume", cobra.ExactArgs(2), func(ctx context.Context, c *client.Client, token string, args []string) (api.ClaimHeard, error) {
		data, err := readArgument("the checkpoint", args[0], p.in)
		if err != nil {
			return api.ClaimHeard{}, err
		}
		return c.ClaimCheckpoint(ctx, token, data)
	})
}

// readArgument is an argument's text, or what is in the @file or, for -, on stdin.
func readArgument(what, arg string, in io.Reader) (data []byte, err error) {
	switch {
	case arg == "-":
		data, err = io.ReadAll(in)
	case strings.HasPrefix(arg, "@"):
		data, err = os.ReadFile(arg[1:])
	default:
		data = []byte(arg)
	}
	if err != nil {
		return nil, usagef("%s %s: %v", what, arg, err)
	}
	return data, nil
}

// endsCmd is a command that ends a claim.
func (p *program) endsCmd(use, short, did string, args cobra.PositionalArgs, end func(ctx context.Context, c *client.Client, token string, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if err := end(ctx, c, args[0], args[1:]); err != nil {
				return err
			}
			fmt.Fprintln(p.err, did)
			return nil
		})}
}

func (p *program) finishCmd() *cobra.Command {
	var result, contentType string
	cmd := p.endsCmd("finish TOKEN", "Say that a claimed task is done", "finished", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, token string, _ []string) error {
		data, err := readArgument("--result", result, p.in)
		if err != nil {
			return err
		}
		return c.FinishClaim(ctx, token, contentType, data)
	})
	cmd.Flags().StringVar(&result, "result", "null", "the result: as it is, @file, or - for stdin")
	cmd.Flags().StringVar(&contentType, "content-type", "application/json", "what the result is")
	return cmd
}

func (p *program) failCmd() *cobra.Command {
	var f api.ClaimFailure
	var retryAfter time.Duration
	cmd := p.endsCmd("fail TOKEN MESSAGE", "Say that a claimed task failed, to be tried again", "failed", cobra.ExactArgs(2), func(ctx context.Context, c *client.Client, token string, args []string) error {
		f.Message = args[0]
		if retryAfter != 0 {
			f.RetryAfter = retryAfter.String()
		}
		return c.FailClaim(ctx, token, f)
	})
	cmd.Flags().BoolVar(&f.Permanent, "permanent", false, "no retry can cure it")
	cmd.Flags().DurationVar(&retryAfter, "retry-after", 0, "try again no sooner than after this")
	cmd.Flags().StringVar(&f.Code, "code", "", "a code for programs, in snake case")
	return cmd
}

func (p *program) releaseCmd() *cobra.Command {
	return p.endsCmd("release TOKEN", "Give a claimed task back, of which nothing was done", "released", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, token string, _ []string) error {
		return c.ReleaseClaim(ctx, token)
	})
}

func (p *program) trashCmd() *cobra.Command {
	return p.endsCmd("trash TOKEN REASON", "Throw a claimed task away that is no use to anybody", "trashed", cobra.ExactArgs(2), func(ctx context.Context, c *client.Client, token string, args []string) error {
		return c.TrashClaim(ctx, token, args[0])
	})
}
