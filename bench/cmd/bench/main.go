// Command bench measures the figures of this tree, each beside its base, and says which of them reach their
// marks. It fails only if it could not measure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/taskhost/taskhost/bench/figure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	list, marks string
	figures     *regexp.Regexp
	long        bool
	rounds      int // at least
	most        int // rounds
	tasks       int
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.list, "list", "tools/bench.list", "the figures")
	f.StringVar(&o.marks, "marks", "tools/bench.marks", "what they are to reach")
	figures := f.String("figures", "", "only benchmarks whose name matches this regular expression, and their bases")
	f.BoolVar(&o.long, "long", false, "also what takes minutes")
	f.IntVar(&o.rounds, "rounds", 6, "how often everything is measured; fewer than 6 decide nothing")
	f.IntVar(&o.most, "most", 20, "how often a figure that is near its mark is measured")
	f.IntVar(&o.tasks, "tasks", 50_000, "what n stands for in the list")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q? All is said by flags", f.Arg(0))
	case o.rounds < 1 || o.most < 1 || o.tasks < 1:
		return o, errors.New("-rounds, -most and -tasks must be at least 1")
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
	all, err := figure.ReadList(o.list, o.tasks, o.long, regexp.MustCompile(""))
	if err != nil {
		return err
	}
	marks, err := readMarks(o.marks)
	if err != nil {
		return err
	}
	pairs := pairUp(all, marks, o.figures)
	if len(pairs) == 0 {
		return fmt.Errorf("%s has no benchmark that matches %q", o.list, o.figures)
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tree := figure.Tree{Root: ".", Binaries: dir}
	var needed []figure.Figure
	for _, p := range pairs {
		needed = append(needed, p.figures()...)
	}
	if err := tree.Build(ctx, needed); err != nil {
		return err
	}
	err = measure(ctx, tree, pairs, o.rounds, o.most, stderr)
	if ctx.Err() != nil {
		return err
	}
	_, printed := io.WriteString(stdout, figuresTable(pairs)+marksTable(pairs))
	return errors.Join(err, printed)
}
