package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

// kind is how things of one kind are named and printed by the commands that take several.
type kind[T any] struct {
	// arg is what an argument is called in the help.
	arg    string
	format tableFormat[T]
	// list is the REST body that holds several.
	list func([]T) any
	// id is the id that an argument means.
	id func(ctx context.Context, c *client.Client, arg string) (string, error)
}

// severalHelp says what becomes of several things that a command names.
const severalHelp = "All are tried, and what is wrong with one is said in a line of its own. The exit\n" +
	"code is the worst: error, not allowed, not found, conflict, in this order."

// changeCommand is a command that changes each thing it is given, and prints what they are then.
func changeCommand[T any](p *program, k kind[T], verb, short string, complete cobra.CompletionFunc, do func(*client.Client, context.Context, string) (T, error)) *cobra.Command {
	return &cobra.Command{Use: verb + " " + k.arg + "...", Short: short, Long: short + ". " + severalHelp, Args: cobra.MinimumNArgs(1), ValidArgsFunction: complete,
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			var done []T
			err := forEachOf(ctx, p, c, k, args, func(id string) error {
				v, err := do(c, ctx, id)
				if err == nil {
					done = append(done, v)
				}
				return err
			})
			if perr := printSeveral(p, k, done, len(args) == 1); perr != nil {
				return perr
			}
			return err
		})}
}

// deleteCommand is a command that deletes each thing it is given.
func deleteCommand[T any](p *program, k kind[T], short string, complete cobra.CompletionFunc, do func(*client.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{Use: "delete " + k.arg + "...", Short: short, Long: short + ". " + severalHelp, Args: cobra.MinimumNArgs(1), ValidArgsFunction: complete,
		RunE: p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			return forEachOf(ctx, p, c, k, args, func(id string) error {
				if err := do(c, ctx, id); err != nil {
					return err
				}
				fmt.Fprintln(p.err, "deleted", id)
				return nil
			})
		})}
}

// printSeveral prints things as rows. As JSON they are a list, or the one thing where one
// was asked for (single).
func printSeveral[T any](p *program, k kind[T], things []T, single bool) error {
	if len(things) == 0 { // what became of them was said
		return nil
	}
	if single {
		return printList(p, k.format, things, any(things[0]))
	}
	return printList(p, k.format, things, k.list(things))
}

// forEachOf does something for each thing that the arguments name, whatever became of those
// before. Of several, each fault is a line on stderr, and the worst is the error.
func forEachOf[T any](ctx context.Context, p *program, c *client.Client, k kind[T], args []string, do func(id string) error) error {
	worst := exitOK
	for i, arg := range args {
		id, err := k.id(ctx, c, arg)
		if err == nil {
			err = do(id)
		}
		if err == nil {
			continue
		}
		if len(args) == 1 || ctx.Err() != nil {
			return err
		}
		fmt.Fprintln(p.err, "taskhost: "+foldLines(arg+": "+p.explain(err)))
		worst = worseExit(worst, exitCode(err))
		if rest := args[i+1:]; task.CodeOf(err) == client.CodeUnreachable && len(rest) > 0 {
			fmt.Fprintln(p.err, "taskhost: not tried: "+foldLines(strings.Join(rest, " ")))
			break
		}
	}
	if worst == exitOK {
		return nil
	}
	return &exitError{code: worst}
}

// readPages reads up to limit things of a list, or all if that is 0, of as many pages as it
// takes. read gets how many to read at the most and where; next is where the list goes on.
func readPages[T any](limit int, read func(limit int, cursor string) (page []T, next *string, err error)) (all []T, next *string, err error) {
	all = []T{}
	cursor := ""
	for {
		most := task.MaxListLimit
		if limit > 0 {
			most = min(limit-len(all), most)
		}
		var page []T
		if page, next, err = read(most, cursor); err != nil {
			return nil, nil, err
		}
		all = append(all, page...)
		if next == nil || limit > 0 && len(all) >= limit {
			return all, next, nil
		}
		cursor = *next
	}
}

// sayMore says that a table does not show all there are.
func (p *program) sayMore(next *string, shown int) {
	if next != nil && p.format == formatTable {
		fmt.Fprintf(p.err, "there are more than %d: --limit 0 lists all\n", shown)
	}
}

// idOf is the id that arg is, or begins, of those in a list that goes downwards from a
// cursor, two at a time.
func idOf(what, arg string, list func(behind task.ID) (ids []string, err error)) (string, error) {
	_, last, err := task.PrefixRange(arg)
	if err != nil {
		return "", task.Errorf(task.CodeNotFound, "there is no %s %q", what, arg)
	}
	if len(arg) == 36 {
		return arg, nil
	}
	ids, err := list(last)
	if err != nil {
		return "", err
	}
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(strings.ReplaceAll(id, "-", ""), strings.ReplaceAll(strings.ToLower(arg), "-", "")) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", task.Errorf(task.CodeNotFound, "there is no %s whose id begins with %q", what, arg)
	case 1:
		return found[0], nil
	}
	return "", task.Errorf(task.CodeConflict, "the ids of several %ss begin with %q, %s and %s among them: give more of it", what, arg, found[0], found[1])
}
