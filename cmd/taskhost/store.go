package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
)

// storeCmd works on a store itself; no server is asked, and one may be running.
func (p *program) storeCmd() *cobra.Command {
	var f, g configFlags
	check := &cobra.Command{Use: "check", Short: "Look a store through, changing nothing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.load()
			if err != nil {
				return err
			}
			r, err := host.CheckStore(c.Context(), cfg.DataDir)
			if err != nil {
				return err
			}
			pairs := []pair{{"store", r.Path}, {"schema", strconv.FormatInt(r.Schema, 10)}, {"epoch", strconv.FormatUint(r.Epoch, 10)}, {"in use", strconv.FormatBool(r.Live)}}
			if err := show(p, r, r.Path, append(pairs, taskCounts(r.Tasks)...)); err != nil {
				return err
			}
			for _, problem := range r.Problems {
				fmt.Fprintln(p.err, "problem: "+fold(problem))
			}
			if !r.OK() {
				return &exitError{code: exitFault, msg: fmt.Sprintf("the store has %d problems; keep a copy of %s before anything else is done to it, then put a backup in its place with \"taskhost store restore FILE\"", len(r.Problems), r.Path)}
			}
			fmt.Fprintln(p.err, "the store is sound")
			return nil
		}}
	f.add(check)
	backup := &cobra.Command{Use: "backup FILE", Short: "Write a copy of a store, also while a server runs on it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			if err := host.BackupStore(c.Context(), cfg.DataDir, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(p.err, "wrote %s; \"taskhost store restore %s\" puts it in the store's place\n", args[0], args[0])
			return nil
		}}
	g.add(backup)
	return group("store", "The store of a data directory", check, backup, p.storeRestoreCmd())
}

func (p *program) storeRestoreCmd() *cobra.Command {
	var f configFlags
	c := &cobra.Command{Use: "restore FILE", Short: "Put a backup in the place of a store; the server must be stopped", Args: cobra.ExactArgs(1),
		Long: "Look a backup through, and put a copy of it in the place of the store. What was there is moved into\na directory beside it, with its log, and can be opened from there. Tasks that were accepted after the\nbackup was made are unknown to it, and what was finished since runs again.",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := f.load()
			if err != nil {
				return err
			}
			r, err := host.RestoreStore(c.Context(), cfg.DataDir, args[0])
			if r.Aside != "" {
				fmt.Fprintf(p.err, "what was there is in %s\n", r.Aside)
			}
			if err != nil {
				return err
			}
			pairs := []pair{{"store", r.Path}, {"from", r.From}, {"set aside", r.Aside}}
			return show(p, r, r.Path, append(pairs, taskCounts(r.Tasks)...))
		}}
	f.add(c)
	return c
}

// taskCounts are how many tasks are in which state.
func taskCounts(tasks map[task.State]int64) (pairs []pair) {
	for _, s := range task.States() {
		if n := tasks[s]; n > 0 {
			pairs = append(pairs, pair{s.String(), strconv.FormatInt(n, 10)})
		}
	}
	return pairs
}
