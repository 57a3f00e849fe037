package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// process is the operating system's side of a plugin: go-plugin starts and waits
// for it through this. Three things differ from go-plugin's own way: the process
// leads a group, which ends as a whole; its death is seen by waiting for it and
// not for its pipes, which a grandchild may hold open; and of stdout only the
// handshake line is passed on, so that nothing else can confuse or block anyone.
type process struct {
	cmd       *exec.Cmd
	output    *output
	onStarted func(pid int, start uint64) error // puts the process on record

	firstLine  *handshakeLine // the first line of stdout
	exited     chan struct{}  // closed when the process has ended
	outputRead chan struct{}  // closed when all that it printed has been read, too
	pipes      sync.WaitGroup
	closeOnce  sync.Once
	files      []*os.File       // the host's ends of the pipes
	state      *os.ProcessState // set when exited is closed
	pidValue   atomic.Int64     // 0 before the start
	killed     atomic.Bool      // kill was called
}

func newProcess(cmd *exec.Cmd, out *output, started func(int, uint64) error) *process {
	return &process{cmd: cmd, output: out, onStarted: started,
		firstLine: newHandshakeLine(), exited: make(chan struct{}), outputRead: make(chan struct{})}
}

// Start executes the binary. Part of runner.Runner.
func (p *process) Start(context.Context) error {
	var stdin, stdout, stderr [2]*os.File // read end, write end
	for _, pipe := range []*[2]*os.File{&stdin, &stdout, &stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(stdin[0], stdin[1], stdout[0], stdout[1])
			return fmt.Errorf("start plugin: %w", err)
		}
		pipe[0] = r
		pipe[1] = w
	}
	// Stdin never says anything and ends with the host, also after kill -9.
	p.cmd.Stdin = stdin[0]
	p.cmd.Stdout = stdout[1]
	p.cmd.Stderr = stderr[1]
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.files = []*os.File{stdin[1], stdout[0], stderr[0]}
	err := startRetryingBusy(p.cmd)
	closeAll(stdin[0], stdout[1], stderr[1])
	if err != nil {
		p.closePipes()
		return err
	}
	p.pidValue.Store(int64(p.cmd.Process.Pid))
	p.pipes.Add(2)
	go func() { defer p.pipes.Done(); p.readStdout(stdout[0]) }()
	go func() { defer p.pipes.Done(); p.output.read(stderr[0]) }()
	go p.reap()
	start, _ := startTime(p.pid()) // 0 if it is over already
	err = p.onStarted(p.pid(), start)
	if err != nil || p.killed.Load() { // a kill may have come before there was a pid
		p.kill()
	}
	return err
}

// markNeverStarted ends all waiting for a process that was never started and never will
// be.
func (p *process) markNeverStarted() {
	p.firstLine.end()
	close(p.exited)
	close(p.outputRead)
}

// startRetryingBusy starts cmd. A fresh copy can be "busy" for a moment: a child that
// another goroutine forked while the copy was open for writing holds it until
// its own exec.
func startRetryingBusy(cmd *exec.Cmd) error {
	for try := 0; ; try++ {
		err := startInBatch(cmd)
		if !errors.Is(err, syscall.ETXTBSY) || try == 50 {
			return err
		}
		again := *cmd // a Cmd can be started only once
		*cmd = exec.Cmd{Path: again.Path, Args: again.Args, Env: again.Env, Dir: again.Dir,
			Stdin: again.Stdin, Stdout: again.Stdout, Stderr: again.Stderr, SysProcAttr: again.SysProcAttr}
		time.Sleep(10 * time.Millisecond) // nothing tells when the other exec has happened
	}
}

// reap reaps the process, ends its group, and sees that the pipes end too.
func (p *process) reap() {
	_ = p.cmd.Wait() // the state says it all
	p.state = p.cmd.ProcessState
	// Whoever is left in the group lost its plugin. While one is left, the
	// number cannot belong to another group; if none is, there is nothing to kill
	// and the number was free for some microseconds only.
	killGroup(p.pid())
	close(p.exited)
	// A grandchild that left the group may hold the pipes: read what is there,
	// then close them.
	timer := time.AfterFunc(time.Second, p.closePipes)
	p.pipes.Wait()
	timer.Stop()
	p.closePipes()
	close(p.outputRead)
}

// running says whether the process may still do something.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// waitOutputRead waits until the process has ended and its last words are read, for at
// most d.
func (p *process) waitOutputRead(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.outputRead:
	case <-timer.C:
	}
}

func (p *process) closePipes() { p.closeOnce.Do(func() { closeAll(p.files...) }) }

func (p *process) readStdout(r io.Reader) {
	br := bufio.NewReaderSize(r, 64<<10)
	line, err := br.ReadSlice('\n')
	p.firstLine.set(line)
	if err == nil || errors.Is(err, bufio.ErrBufferFull) {
		p.output.read(br)
	}
}

// kill ends the process and its group at once. The frozen too.
func (p *process) kill() {
	p.killed.Store(true)
	if pid := p.pid(); pid != 0 && p.running() { // else the group ended with it
		killGroup(pid)
		_ = p.cmd.Process.Kill() // in case it left its group
	}
}

func killGroup(pid int) {
	if pid > 1 {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// pid is 0 before the start.
func (p *process) pid() int { return int(p.pidValue.Load()) }

// endedUnkilled says whether the process ended without our doing.
func (p *process) endedUnkilled() bool {
	if p.running() || p.state == nil {
		return false
	}
	ws, ok := p.state.Sys().(syscall.WaitStatus)
	return !ok || !ws.Signaled() || ws.Signal() != syscall.SIGKILL || !p.killed.Load()
}

// howItEnded says how the process ended, in words.
func (p *process) howItEnded() string {
	if p.running() {
		return "runs"
	}
	if p.state == nil {
		return "did not run"
	}
	if ws, ok := p.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		text := fmt.Sprintf("was ended by signal %d (%s)", ws.Signal(), ws.Signal())
		if ws.Signal() == syscall.SIGKILL {
			text += ", which is also what the kernel sends when memory is short"
		}
		return text
	}
	return fmt.Sprintf("exited with status %d", p.state.ExitCode())
}

// What follows is the rest of runner.Runner.

// Stdout gives the handshake line and no more.
func (p *process) Stdout() io.ReadCloser { return p.firstLine }

// Stderr gives nothing: it is read where it cannot panic.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }

// Name is the path of the binary.
func (p *process) Name() string { return p.cmd.Path }

// ID is the pid; go-plugin takes an empty one for "never started".
func (p *process) ID() string {
	if pid := p.pid(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// Wait returns when the process has ended.
func (p *process) Wait(context.Context) error {
	<-p.exited
	return nil
}

// Kill ends the process and its group.
func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

// Diagnose has nothing to add: see startError.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost and HostToPlugin change nothing: both see the same files.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin is PluginToHost the other way round.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

var _ runner.Runner = (*process)(nil)

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
