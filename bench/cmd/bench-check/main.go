// Command bench-check tells what a change costs: it measures the figures of make bench at two
// commits, pair by pair in interleaved rounds, and prints for each the median ratio and its spread.
// It judges nothing: it fails only if it could not measure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/taskhost/taskhost/bench/figure"
)

func main() { figure.Main("bench-check", run) }

// options are the command line.
type options struct {
	figure.Options
	base, head string
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bench-check", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.base, "base", "", "the commit to compare with (required)")
	f.StringVar(&o.head, "head", "HEAD", "the commit that is compared")
	err = o.Parse(f, args, 5, "how often each pair is measured")
	if err == nil && o.base == "" {
		err = errors.New("with which commit is it compared? Say make bench-check BASE=commit")
	}
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	root, err := git(ctx, "", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	all, err := figure.ReadList(filepath.Join(root, o.List), o.Tasks, false)
	if err != nil {
		return err
	}
	figures, err := o.Asked(all)
	if err != nil {
		return err
	}
	if status, err := git(ctx, root, "status", "--porcelain", "--untracked-files=no"); err != nil {
		return err
	} else if status != "" {
		fmt.Fprintln(stderr, "note: what is not committed is not measured")
	}
	dir, err := os.MkdirTemp("", "bench-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var sides [2]*side
	for i, commit := range []string{o.base, o.head} {
		sides[i], err = checkOut(ctx, root, dir, []string{"base", "head"}[i], commit)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sides[i].remove(root)) }()
		fmt.Fprintf(stderr, "building %s: %s\n", sides[i].name, sides[i].title)
		if err := sides[i].Build(ctx, figures); err != nil {
			return fmt.Errorf("%s: %w", sides[i].name, err)
		}
	}
	results, err := measure(ctx, sides, figures, o.Rounds, stderr)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, table(sides, figures, results))
	return err
}
