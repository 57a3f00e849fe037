// Command bench measures the figures of this tree, each beside its base, and says which of them reach their
// marks. It fails only if it could not measure.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/taskhost/taskhost/bench/figure"
)

func main() { figure.Main("bench", run) }

// options are the command line.
type options struct {
	figure.Options
	marks string
	long  bool
	most  int // rounds
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.marks, "marks", "tools/bench.marks", "what they are to reach")
	f.BoolVar(&o.long, "long", false, "also what takes minutes")
	f.IntVar(&o.most, "most", 20, "how often a figure that is near its mark is measured")
	err = o.Parse(f, args, 6, "how often everything is measured; fewer than 6 decide nothing")
	if err == nil && o.most < 1 {
		err = errors.New("-most must be at least 1")
	}
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	all, err := figure.ReadList(o.List, o.Tasks, o.long)
	if err != nil {
		return err
	}
	asked, err := o.Asked(all)
	if err != nil {
		return err
	}
	marks, err := readMarks(o.marks)
	if err != nil {
		return err
	}
	pairs := pairUp(asked, all, marks)
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
	err = measure(ctx, tree, pairs, o.Rounds, o.most, stderr)
	if ctx.Err() != nil {
		return err
	}
	_, printed := io.WriteString(stdout, figuresTable(pairs)+marksTable(pairs))
	return errors.Join(err, printed)
}
