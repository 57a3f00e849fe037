package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
)

// errWaited ends a wait that was as long as it may be.
var errWaited = errors.New("the wait timed out")

// await returns the task once it is final, showing what happens if follow is set.
func (p *program) await(ctx context.Context, c *client.Client, id string, most time.Duration, follow bool) (api.Task, error) {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if most > 0 {
		waiting, cancel = context.WithTimeoutCause(ctx, most, errWaited)
	}
	defer cancel()
	var t api.Task
	var err error
	if follow {
		t, err = p.follow(waiting, c, id)
	} else {
		t, err = c.Wait(waiting, id)
	}
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return t, &detached{id}
	case waiting.Err() != nil:
		return t, &exitError{code: exitTimeout, msg: fmt.Sprintf("task %s is not final after %s; it goes on", id, most.Round(time.Millisecond))}
	}
	return t, err
}

// follow shows progress, transitions and logs on stderr until the task is final.
func (p *program) follow(ctx context.Context, c *client.Client, id string) (api.Task, error) {
	s := &screen{w: p.err, bars: isTerminal(p.err)}
	logs, stop := context.WithCancel(ctx)
	defer stop()
	logsDone := make(chan struct{})
	go func() {
		defer close(logsDone)
		for l, err := range c.Logs(logs, id, client.LogOptions{Follow: true}) {
			if err != nil { // the events say what is wrong with the server
				return
			}
			s.line(logLine(&l))
		}
	}()
	for w, err := range c.Events(ctx, id, 0) {
		if err != nil {
			return api.Task{}, err
		}
		switch {
		case w.Progress != nil:
			s.progress(w.Progress)
		case w.State != nil:
			s.line(transition(w.State))
		}
	}
	// The last lines come a moment after the end; not for ever, should the server be stuck.
	select {
	case <-logsDone:
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	s.close()
	return c.Get(ctx, id)
}

func transition(e *api.StateEvent) string {
	text := fmt.Sprintf("%s %s", e.At.Local().Format("15:04:05.000"), e.To)
	if e.To == task.Pending && e.Task.Waiting != nil {
		text += " (" + *e.Task.Waiting + ")"
	}
	if e.To == task.Running {
		text += fmt.Sprintf(" (attempt %d on %s)", e.Attempt, orDash(e.Task.Executor))
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return fold(text)
}

// screen is a terminal with a bar in its last line, or a file of plain lines.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	bars  bool
	bar   *progressbar.ProgressBar
	total int64
	said  time.Time // when progress was last said in a plain line
}

// sayEvery bounds how often progress makes a line where there is no terminal.
const sayEvery = 2 * time.Second

func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear() // it is decoration
	}
	fmt.Fprintln(s.w, text)
	if s.bar != nil {
		_ = s.bar.RenderBlank()
	}
}

func (s *screen) progress(p *api.TaskProgress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bars {
		if time.Since(s.said) < sayEvery && (p.Total == 0 || p.Done < p.Total) {
			return
		}
		s.said = time.Now()
		fmt.Fprintln(s.w, supervisor.Printable(fmt.Sprintf("progress %d of %d (%s) %s", p.Done, p.Total, progressText(p), p.Message)))
		return
	}
	total := p.Total
	if total == 0 {
		total = -1 // a spinner
	}
	if s.bar == nil || s.total != total {
		s.total = total
		s.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.w), progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	s.bar.Describe(supervisor.Printable(p.Message))
	_ = s.bar.Set64(p.Done)
}

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
	}
	s.bar, s.bars = nil, false
}

func (p *program) waitCmd() *cobra.Command {
	var most time.Duration
	cmd := &cobra.Command{Use: "wait ID...", Short: "Wait until tasks are final", Args: cobra.MinimumNArgs(1),
		Long: "Wait until tasks are final and show them. The exit code is that of the first which did not succeed."}
	cmd.Flags().DurationVar(&most, "timeout", 0, "wait no longer than this for all (exit code 124); 0 for ever")
	cmd.RunE = p.remote(func(ctx context.Context, c *client.Client, args []string) error {
		var done []api.Task
		end := time.Now().Add(most)
		err := eachID(ctx, c, args, func(id string) error {
			left := time.Duration(0)
			if most > 0 {
				left = max(time.Until(end), time.Millisecond)
			}
			t, err := p.await(ctx, c, id, left, false)
			if err == nil {
				done = append(done, t)
			}
			return err
		})
		if err != nil {
			return err
		}
		var body any = api.TaskList{Tasks: done}
		if len(args) == 1 {
			body = done[0]
		}
		if err := list(p, taskRows(), done, body); err != nil {
			return err
		}
		for i := range done {
			if err := outcome(&done[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

func (p *program) watchCmd() *cobra.Command {
	return &cobra.Command{Use: "watch ID", Short: "Print a task's transitions as they come, and its progress", Args: cobra.ExactArgs(1),
		RunE: p.remote(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := wholeID(ctx, c, args[0])
			if err != nil {
				return err
			}
			s := &screen{w: p.err, bars: isTerminal(p.err)}
			for w, err := range c.Events(ctx, id, 0) {
				if ctx.Err() != nil {
					return &detached{id}
				}
				if err != nil {
					return err
				}
				switch {
				case w.Progress != nil:
					s.progress(w.Progress)
				case w.State != nil:
					if err := p.watched(w.State); err != nil {
						return err
					}
				}
			}
			s.close()
			t, err := c.Get(ctx, id)
			if err != nil {
				return err
			}
			return outcome(&t)
		})}
}

func (p *program) watched(e *api.StateEvent) error {
	switch p.format {
	case formatJSON, formatLines:
		return p.jsonLine(e)
	case formatName:
		_, err := fmt.Fprintln(p.out, e.To)
		return err
	}
	_, err := fmt.Fprintln(p.out, transition(e))
	return err
}

func (p *program) logsCmd() *cobra.Command {
	var o client.LogOptions
	var since string
	cmd := &cobra.Command{Use: "logs ID", Short: "Print a task's log lines", Args: cobra.ExactArgs(1)}
	f := cmd.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on until the task is final")
	f.StringVar(&since, "since", "", "not before this time (RFC 3339), or this long ago, such as 10m")
	f.StringVar(&o.Level, "level", "", "this level and above: trace, debug, info, warn or error")
	f.IntVar(&o.Attempt, "attempt", 0, "of this attempt")
	cmd.RunE = p.remote(func(ctx context.Context, c *client.Client, args []string) error {
		var err error
		if o.Since, err = pastTime("--since", since); err != nil {
			return err
		}
		id, err := wholeID(ctx, c, args[0])
		if err != nil {
			return err
		}
		body := api.LogList{Lines: []task.LogLine{}}
		for l, err := range c.Logs(ctx, id, o) {
			if err != nil {
				return err
			}
			switch {
			case p.format == formatJSON && !o.Follow:
				body.Lines = append(body.Lines, l)
			case p.format == formatJSON, p.format == formatLines:
				err = p.jsonLine(l)
			default:
				_, err = fmt.Fprintln(p.out, logLine(&l))
			}
			if err != nil {
				return err
			}
		}
		if p.format == formatJSON && !o.Follow {
			return p.json(body)
		}
		return nil
	})
	return cmd
}
