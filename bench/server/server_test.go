package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each server is ready when its start returns, and gone when its stop does.
func TestServersStartAndEnd(t *testing.T) {
	for name, start := range map[string]func(context.Context, string) (pids []int, stop func(), err error){
		"postgres": func(ctx context.Context, dir string) ([]int, func(), error) {
			s, err := StartPostgres(ctx, dir)
			if err != nil {
				return nil, nil, err
			}
			return []int{s.Pid()}, s.Stop, nil
		},
		"redis": func(ctx context.Context, dir string) ([]int, func(), error) {
			s, err := StartRedis(ctx, dir, "always")
			if err != nil {
				return nil, nil, err
			}
			return []int{s.Pid()}, s.Stop, nil
		},
		"rabbitmq": func(ctx context.Context, dir string) ([]int, func(), error) {
			s, err := StartRabbitMQ(ctx, dir)
			if err != nil {
				return nil, nil, err
			}
			return s.Pids(), s.Stop, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := Scratch()
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			pids, stop, err := start(t.Context(), dir)
			if errors.Is(err, ErrMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			stop()
			stop() // a second time is nothing
			for _, pid := range pids {
				gone(t, pid)
			}
		})
	}
}

func TestReadySaysWhyNot(t *testing.T) {
	p, err := Start(t.TempDir(), "faulty", exec.Command("sh", "-c", "echo the disk is on fire >&2; exit 3"), syscall.SIGTERM)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	err = p.Ready(t.Context(), func(context.Context) error { return errors.New("no") })
	if err == nil || !strings.Contains(err.Error(), "faulty ended at once: the disk is on fire") {
		t.Fatal(err)
	}
}

// A program that ignores its signal ends all the same, and what it started with it.
func TestStopEndsTheGroup(t *testing.T) {
	dir := t.TempDir()
	p, err := Start(dir, "stubborn", exec.Command("sh", "-c", "trap '' TERM; sleep 300 & echo ready; wait; wait"), syscall.SIGHUP)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Ready(t.Context(), func(context.Context) error {
		text, err := os.ReadFile(dir + "/stubborn.log")
		if err == nil && len(text) == 0 {
			err = errors.New("not yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	gone(t, p.Pid())
}

// gone waits until no process of the group runs: one that was killed takes a moment to end. One
// that is dead, but not waited for by whoever inherited it, does not run.
func gone(t *testing.T, group int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		running := members(t, group)
		if len(running) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("after the stop there still run %v of the group %d", running, group)
			return
		}
	}
}

// members are the processes of a group that run.
func members(t *testing.T, group int) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state parent group …; a name may hold anything.
		_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')'):]), " ")
		f := strings.Fields(rest)
		if f[2] == strconv.Itoa(group) && f[0] != "Z" {
			pids = append(pids, filepath.Base(filepath.Dir(stat)))
		}
	}
	return pids
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if seen[p] {
			t.Fatal("given twice:", p)
		}
		seen[p] = true
		l, err := net.Listen("tcp", loopback(p))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
