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

// withClient makes the RunE of a command that talks to a server. An interrupt ends
// it with its own exit code.
func (p *program) withClient(do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) error {
		c, err := client.New(p.addr, os.Getenv("TASKHOST_TOKEN"))
		if err != nil {
			return usagef("%v", err)
		}
		defer c.Close()
		if err := trust(c); err != nil {
			return usagef("%v", err)
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = do(ctx, c, args)
		if err == nil || ctx.Err() == nil {
			return err
		}
		return &exitError{code: exitInterrupted, msg: interruptMessage(err)}
	}
}

// detachedError is returned by what waits for a task when it is interrupted.
type detachedError struct{ id string }

func (d *detachedError) Error() string {
	return fmt.Sprintf("detached: task %[1]s goes on; `taskhost task watch %[1]s` follows it, `taskhost task cancel %[1]s` ends it", d.id)
}

// interruptMessage is what is said last of a command that was interrupted.
func interruptMessage(err error) string {
	switch e := err.(type) {
	case *detachedError:
		return e.Error()
	case *exitError:
		if e.code == exitInterrupted {
			return e.msg
		}
	}
	return "interrupted"
}

// fullID is the id that arg begins, asked for where the server takes no less.
func fullID(ctx context.Context, c *client.Client, arg string) (string, error) {
	if len(arg) == 36 {
		return arg, nil
	}
	t, err := c.Get(ctx, arg)
	return t.ID, err
}

// listCommand is the command list of what read reads; body is the REST body that holds it.
func listCommand[T any](p *program, short string, format tableFormat[T], read func(*client.Client, context.Context) ([]T, error), body func([]T) any) *cobra.Command {
	return &cobra.Command{Use: "list", Short: short, Args: cobra.NoArgs,
		RunE: p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			all, err := read(c, ctx)
			if err != nil {
				return err
			}
			return printList(p, format, all, body(all))
		})}
}

// getCommand is the command get of one thing, by its name.
func getCommand[T any](p *program, short string, complete cobra.CompletionFunc, read func(*client.Client, context.Context, string) (T, error), print func(T) error) *cobra.Command {
	return &cobra.Command{Use: "get NAME", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(complete),
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			v, err := read(c, ctx, args[0])
			if err != nil {
				return err
			}
			return print(v)
		})}
}

// action is what an operator may have done to an executor or a worker.
type action struct{ name, short string }

// controlCommands are a command for each action on one thing, by its name; they print
// what it is then.
func controlCommands[T any](p *program, format tableFormat[T], complete cobra.CompletionFunc, control func(c *client.Client, ctx context.Context, name, action string) (T, error), actions ...action) []*cobra.Command {
	var out []*cobra.Command
	for _, a := range actions {
		out = append(out, &cobra.Command{Use: a.name + " NAME", Short: a.short, Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(complete),
			RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
				v, err := control(c, ctx, args[0], a.name)
				if err != nil {
					return err
				}
				return printList(p, format, []T{v}, v)
			})})
	}
	return out
}

// trust has a client check the server by the authorities that the environment names, and
// show the certificate that it names.
func trust(c *client.Client) error {
	var t client.TLS
	for name, to := range map[string]*string{"TASKHOST_CA_CERT": &t.CA, "TASKHOST_CERT": &t.Cert, "TASKHOST_KEY": &t.Key} {
		*to = os.Getenv(name)
	}
	return c.UseTLS(t)
}
