// Command peers puts the same jobs through taskhost and through other queues, compares them, and
// writes docs/performance.md.
package main

import (
	"context"

	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/taskhost/taskhost/bench/load"
	"github.com/taskhost/taskhost/bench/peers"
	"github.com/taskhost/taskhost/bench/report"
	"github.com/taskhost/taskhost/bench/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the servers, which end all the same
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		stop()
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	docs     string
	pageOnly bool
	only     string
	seconds  float64
	rounds   int
	most     int
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.StringVar(&o.docs, "docs", "../docs", "where performance.md, its plots and its figures are; empty: write nothing")
	f.BoolVar(&o.pageOnly, "page-only", false, "measure nothing: write the page anew from its figures")
	f.StringVar(&o.only, "peers", "", "measure only those whose name contains one of these words, separated by commas; writes nothing")
	f.Float64Var(&o.seconds, "seconds", 5, "how long clients go on submitting for one rate")
	f.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	f.IntVar(&o.most, "most", 1_000_000, "the largest backlog")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("what is %q? All is said by flags", f.Arg(0))
	}
	if o.seconds <= 0 || o.rounds < 1 || o.most < 1000 {
		return o, errors.New("-seconds must be more than 0, -rounds at least 1 and -most at least 1000")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.pageOnly {
		f, err := report.Read(o.docs)
		if err != nil {
			return err
		}
		return report.Write(o.docs, f)
	}
	f, err := measure(ctx, o)
	if err != nil {
		return err
	}
	fmt.Print(report.Table(f))
	if o.docs == "" || o.only != "" {
		return nil
	}
	return report.Write(o.docs, f)
}

// plan scales the measurements to the time for one rate.
func (o options) plan() load.Plan {
	one := time.Duration(o.seconds * float64(time.Second))
	p := load.Plan{
		Rounds:     o.rounds,
		Throughput: load.Limits{Jobs: 1_000_000, Time: one},
		Idle:       load.Limits{Jobs: 500, Time: one},
		Fill:       12 * one,
		Work:       4 * one,
		Say:        func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	for waiting := 1000; waiting <= o.most; waiting *= 10 {
		p.Backlogs = append(p.Backlogs, waiting)
	}
	return p
}

func measure(ctx context.Context, o options) (load.Figures, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // as taskhost's own program has it; all that are written in Go get it
	}
	chosen := choose(peers.All(), o.only)
	if len(chosen) == 0 {
		return load.Figures{}, fmt.Errorf("-peers %s: there is none of that name", o.only)
	}
	dir, err := server.Scratch()
	if err != nil {
		return load.Figures{}, err
	}
	defer os.RemoveAll(dir)
	measured := commit(ctx) // now: the tree may be at another when the run is over
	f, err := load.Run(ctx, chosen, o.plan(), dir, func(err error) bool { return errors.Is(err, server.ErrMissing) })
	if err != nil {
		return f, err
	}
	f.Date = time.Now().Format(time.DateOnly)
	f.Commit = measured
	f.Machine, err = load.ThisMachine()
	return f, err
}

func choose(all []load.Peer, only string) (chosen []load.Peer) {
	for _, p := range all {
		for word := range strings.SplitSeq(only, ",") {
			if strings.Contains(strings.ToLower(p.Name), strings.ToLower(strings.TrimSpace(word))) {
				chosen = append(chosen, p)
				break
			}
		}
	}
	return chosen
}

// commit is what the tree is at.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty=+", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
