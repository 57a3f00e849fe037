package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api/client"
)

// remote makes the RunE of a command that talks to a server. An interrupt ends
// it with its own exit code.
func (p *program) remote(do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) error {
		c, err := client.New(p.addr, os.Getenv("TASKHOST_TOKEN"))
		if err != nil {
			return usagef("%v", err)
		}
		defer c.Close()
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = do(ctx, c, args)
		if err == nil || ctx.Err() == nil {
			return err
		}
		return &exitError{code: exitInterrupted, msg: interrupted(err)}
	}
}

// detached is returned by what waits for a task when it is interrupted.
type detached struct{ id string }

func (d *detached) Error() string {
	return fmt.Sprintf("detached: task %[1]s goes on; `taskhost task watch %[1]s` follows it, `taskhost task cancel %[1]s` ends it", d.id)
}

func interrupted(err error) string {
	if d, ok := err.(*detached); ok {
		return d.Error()
	}
	return "interrupted"
}

// wholeID is the id that arg begins, asked for where the server takes no less.
func wholeID(ctx context.Context, c *client.Client, arg string) (string, error) {
	if len(arg) == 36 {
		return arg, nil
	}
	t, err := c.Get(ctx, arg)
	return t.ID, err
}

// eachID does something for each task that the arguments name.
func eachID(ctx context.Context, c *client.Client, args []string, do func(id string) error) error {
	for _, arg := range args {
		id, err := wholeID(ctx, c, arg)
		if err != nil {
			return err
		}
		if err := do(id); err != nil {
			return err
		}
	}
	return nil
}
