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
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/taskhost/taskhost/bench/figure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-check:", err)
		stop()
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	base, head string
	list       string
	figures    *regexp.Regexp
	rounds     int
	tasks      int
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bench-check", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.base, "base", "", "the commit to compare with (required)")
	f.StringVar(&o.head, "head", "HEAD", "the commit that is compared")
	f.StringVar(&o.list, "list", "tools/bench.list", "the figures, as a path within the repository of the current tree")
	figures := f.String("figures", "", "only benchmarks whose name matches this regular expression")
	f.IntVar(&o.rounds, "rounds", 5, "how often each pair is measured")
	f.IntVar(&o.tasks, "tasks", 50_000, "what n stands for in the list")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q? All is said by flags", f.Arg(0))
	case o.base == "":
		return o, errors.New("with which commit is it compared? Say make bench-check BASE=commit")
	case o.rounds < 1 || o.tasks < 1:
		return o, errors.New("-rounds and -tasks must be at least 1")
	}
	o.figures, err = regexp.Compile(*figures)
	if err != nil {
		return o, fmt.Errorf("-figures: %w", err)
	}
	return o, nil
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
	figures, err := figure.ReadList(filepath.Join(root, o.list), o.tasks, false, o.figures)
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
	results, err := measure(ctx, sides, figures, o.rounds, stderr)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, table(sides, figures, results))
	return err
}
