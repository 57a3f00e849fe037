package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/task"
)

// storeCmd works on a store itself; no server is asked, and one may be running.
func (p *program) storeCmd() *cobra.Command {
	return group("store", "The store of a data directory", p.storeCheckCmd(), p.storeBackupCmd(), p.storeRestoreCmd(), p.storeRekeyCmd())
}

func (p *program) storeCheckCmd() *cobra.Command {
	c := &cobra.Command{Use: "check", Short: "Look a store through, changing nothing", Args: cobra.NoArgs}
	return withConfig(c, func(ctx context.Context, cfg *config.Config, _ []string) error {
		r, err := host.CheckStore(ctx, cfg.DataDir)
		if err != nil {
			return err
		}
		fields := []field{{"store", r.Path}, {"schema", strconv.FormatInt(r.Schema, 10)}, {"epoch", strconv.FormatUint(r.Epoch, 10)}, {"in use", strconv.FormatBool(r.Live)}}
		if err := printFields(p, r, r.Path, append(fields, taskCounts(r.Tasks)...)); err != nil {
			return err
		}
		for _, problem := range r.Problems {
			fmt.Fprintln(p.err, "problem: "+foldLines(problem))
		}
		if !r.OK() {
			return &exitError{code: exitFault, msg: fmt.Sprintf("the store has %d problems; keep a copy of %s before anything else is done to it, then put a backup in its place with \"taskhost store restore --data-dir %s FILE\"", len(r.Problems), r.Path, cfg.DataDir)}
		}
		fmt.Fprintln(p.err, "the store is sound")
		return nil
	})
}

func (p *program) storeBackupCmd() *cobra.Command {
	c := &cobra.Command{Use: "backup FILE", Short: "Write a copy of a store, also while a server runs on it", Args: cobra.ExactArgs(1)}
	return withConfig(c, func(ctx context.Context, cfg *config.Config, args []string) error {
		if err := host.BackupStore(ctx, cfg.DataDir, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(p.err, "wrote %s; \"taskhost store restore --data-dir %s %s\" puts it in the store's place\n", args[0], cfg.DataDir, args[0])
		return nil
	})
}

func (p *program) storeRestoreCmd() *cobra.Command {
	c := &cobra.Command{Use: "restore FILE", Short: "Put a backup in the place of a store; the server must be stopped", Args: cobra.ExactArgs(1),
		Long: "Look a backup through, and put a copy of it in the place of the store. What was there is moved into\na directory beside it, with its log, and can be opened from there. Tasks that were accepted after the\nbackup was made are unknown to it, and what was finished since runs again."}
	return withConfig(c, func(ctx context.Context, cfg *config.Config, args []string) error {
		r, err := host.RestoreStore(ctx, cfg.DataDir, args[0])
		if r.Aside != "" {
			fmt.Fprintf(p.err, "what was there is in %s\n", r.Aside)
		}
		if err != nil {
			return err
		}
		fields := []field{{"store", r.Path}, {"from", r.From}, {"set aside", r.Aside}}
		return printFields(p, r, r.Path, append(fields, taskCounts(r.Tasks)...))
	})
}

func (p *program) storeRekeyCmd() *cobra.Command {
	c := &cobra.Command{Use: "rekey", Short: "Seal secrets of inputs with a new key; the server must be stopped", Args: cobra.NoArgs,
		Long: "Make a new key in secrets.key, seal with it all that the store holds sealed, and drop the keys before.\nThe server must be stopped. When it is cut short both keys are on file, so nothing is lost: run it again. A backup of before needs\nthe key file of before."}
	return withConfig(c, func(ctx context.Context, cfg *config.Config, _ []string) error {
		r, err := host.RekeyStore(ctx, cfg.DataDir)
		if err != nil {
			return err
		}
		if r.Unopened > 0 {
			fmt.Fprintf(p.err, "%d inputs have values that no key opens; they are as they were: put the lines of the lost key file before those of %s\n", r.Unopened, r.File)
		}
		return printFields(p, r, r.File, []field{{"keys", r.File}, {"inputs sealed anew", strconv.Itoa(r.Inputs)}})
	})
}

// taskCounts are how many tasks are in which state.
func taskCounts(tasks map[task.State]int64) (fields []field) {
	for _, s := range task.States() {
		if n := tasks[s]; n > 0 {
			fields = append(fields, field{s.String(), strconv.FormatInt(n, 10)})
		}
	}
	return fields
}
