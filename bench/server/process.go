// Package server starts the programs that the peers need, each on loopback ports and in a
// directory of its own, and ends them. It never touches the services of the system.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	readyWithin = 90 * time.Second // a broker takes half a minute on a busy machine
	readyPoll   = 20 * time.Millisecond
	stopWithin  = 10 * time.Second
	logTail     = 2000 // bytes of a log that an error quotes
)

// Process is a program that Start started.
type Process struct {
	name  string
	cmd   *exec.Cmd
	stop  syscall.Signal
	log   *os.File
	ended chan struct{} // closed when the program has ended and was waited for
}

// Start runs cmd as the leader of a process group, with what it prints in DIR/NAME.log unless
// cmd says where else. stop is the signal that has it end in good order. The program ends with
// this process, however that ends. Stop it when it is no longer needed.
func Start(dir, name string, cmd *exec.Cmd, stop syscall.Signal) (*Process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C at the terminal is not for it
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &Process{name: name, cmd: cmd, stop: stop, log: log, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer log.Close()
		// The kernel sends Pdeathsig when the thread ends that started the program.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Pid is the program's process id, which is that of its group, too.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed once the program has ended, for whatever reason.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Ready waits until probe succeeds. The error of a program that ends first, or is not ready
// within 90 seconds, quotes the end of its log.
func (p *Process) Ready(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once: %s", p.name, p.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log: %s", p.name, errors.Join(context.Cause(ctx), err), p.lastLines())
		case <-tick.C:
		}
	}
}

func (p *Process) lastLines() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-logTail):]))
}

// Stop ends the program and what it started: in good order if it can within ten seconds. It
// returns when the program is gone, and may be called again.
func (p *Process) Stop() {
	if p == nil {
		return
	}
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Signal(p.stop)
		select {
		case <-p.ended:
		case <-time.After(stopWithin):
		}
	}
	// What is left of its group, if it has not ended or has left children behind.
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
	<-p.ended
}

// freePorts finds TCP ports of the loopback address that nobody listens on.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // at the end, so that no port is given twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// accepts is the probe of a program that is ready once it takes connections.
func accepts(port int) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(port))
		if err == nil {
			conn.Close()
		}
		return err
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
