package figure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

// Main is the main function of a command that measures figures: run is told by its context to stop, and its error
// is the command's.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, name+":", err)
		stop()
		os.Exit(1)
	}
}

// Options are what such commands have in common on their command lines.
type Options struct {
	List   string // path of the list
	Rounds int    // how often each figure is measured, at the least
	Tasks  int    // what n stands for in the list
	names  *regexp.Regexp
}

// Parse adds its flags to those of f, with what the command says of rounds, and parses all.
func (o *Options) Parse(f *flag.FlagSet, args []string, rounds int, usage string) (err error) {
	f.StringVar(&o.List, "list", "tools/bench.list", "the figures, as a path within the current tree")
	names := f.String("figures", "", "only benchmarks whose name matches this regular expression")
	f.IntVar(&o.Rounds, "rounds", rounds, usage)
	f.IntVar(&o.Tasks, "tasks", 50_000, "what n stands for in the list")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("what is %q? All is said by flags", f.Arg(0))
	case o.Rounds < 1 || o.Tasks < 1:
		return errors.New("-rounds and -tasks must be at least 1")
	}
	if o.names, err = regexp.Compile(*names); err != nil {
		return fmt.Errorf("-figures: %w", err)
	}
	return nil
}

// Asked are those of all figures that were asked for. It is an error if none was.
func (o *Options) Asked(all []Figure) ([]Figure, error) {
	asked := slices.DeleteFunc(slices.Clone(all), func(f Figure) bool { return !o.names.MatchString(f.Name) })
	if len(asked) == 0 {
		return nil, fmt.Errorf("%s has no benchmark that matches %q", o.List, o.names)
	}
	return asked, nil
}
