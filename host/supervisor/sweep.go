package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// sweepTimeout bounds the wait for killed processes to be gone.
const sweepTimeout = 5 * time.Second

type leftover struct {
	pid   int
	start uint64
}

// sweep ends what a dead host left behind, before anything new is started: two
// processes must not run the same attempts. It takes a process only if its start
// time is the recorded one or its environment carries the recorded instance id,
// so that a number which the kernel has used again is never touched.
func sweep(dir string, log hclog.Logger) error {
	records, err := readRecords(dir)
	if err != nil {
		return fmt.Errorf("sweep plugin processes of an earlier host: %w", err)
	}
	ids := map[string]bool{}
	var leftovers []leftover
	boot := bootID()
	for _, r := range records {
		ids[r.Instance] = true
		if r.Pid > 1 && r.Boot == boot && alive(r.Pid, r.Start) {
			log.Info("ending a plugin process of an earlier host", "executor", r.Executor, "plugin", r.Plugin, "pid", r.Pid)
			leftovers = append(leftovers, leftover{r.Pid, r.Start})
			killProcess(r.Pid, r.Start)
		}
	}
	for _, pid := range processesMarked(ids) {
		start, err := startTime(pid)
		if err != nil {
			continue
		}
		leftovers = append(leftovers, leftover{pid, start})
		killProcess(pid, start)
	}
	if err := waitGone(leftovers); err != nil {
		return err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("sweep plugin processes of an earlier host: %w", err)
		}
	}
	return nil
}

// killProcess kills one process, and its group if it leads one. The handle is taken
// before the start time is compared, so the signal reaches the process that was
// looked at or none.
func killProcess(pid int, start uint64) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = p.Release() }()
	s, err := readStat(pid)
	if err != nil || s.start != start {
		return
	}
	if s.pgrp == pid {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	_ = p.Kill()
}

// waitGone waits until the killed are: they are not our children, so there is
// nothing to wait on but the process table.
func waitGone(left []leftover) error {
	deadline := time.Now().Add(sweepTimeout)
	for _, t := range left {
		for alive(t.pid, t.start) {
			if time.Now().After(deadline) {
				return fmt.Errorf("plugin process %d of an earlier host does not end after SIGKILL: it waits in the kernel (a dead disk or mount?); end it or restart the machine", t.pid)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// makeEmptyDir makes dir with mode 0700 and removes whatever is in it.
func makeEmptyDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
