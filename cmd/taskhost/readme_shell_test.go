package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A step, such as the first build of all, may take this long on a loaded machine.
const stepTime = 10 * time.Minute

// shell is the one into which a reader copies what ends. What a step changes of it (its
// directory, its variables) holds for the next.
type shell struct {
	t      *testing.T
	dir    string // for the steps as files and their output
	cmd    *exec.Cmd
	stdin  io.Writer
	ends   *bufio.Reader // a line at the end of each step: the directory the shell is in
	output *os.File
	cwd    string
	steps  int
}

func newShell(t *testing.T, cwd string, env []string) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir(), cwd: cwd}
	var err error
	if s.output, err = os.Create(filepath.Join(s.dir, "output")); err != nil {
		t.Fatal(err)
	}
	ends, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.ends = bufio.NewReader(ends)
	s.cmd = exec.Command("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
	s.cmd.Dir, s.cmd.Env, s.cmd.ExtraFiles = cwd, env, []*os.File{told}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.stdin, err = s.cmd.StdinPipe(); err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	told.Close()
	t.Cleanup(func() {
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		s.cmd.Wait()
		ends.Close()
		s.output.Close()
	})
	fmt.Fprintln(s.stdin, `trap 'echo "this command failed: $BASH_COMMAND"' ERR`)
	return s
}

// run gives what the commands print. One that fails ends the shell, and the test.
func (s *shell) run(at, commands string) string {
	s.t.Helper()
	s.steps++
	file := filepath.Join(s.dir, fmt.Sprintf("step-%d", s.steps))
	if err := os.WriteFile(file, []byte(commands), 0o600); err != nil {
		s.t.Fatal(err)
	}
	from, err := s.output.Seek(0, io.SeekEnd)
	if err != nil {
		s.t.Fatal(err)
	}
	// Descriptor 3 is this shell's alone, so that its end is seen whatever a step leaves behind.
	fmt.Fprintf(s.stdin, ". %s </dev/null 3>&-\npwd >&3\n", file)
	hung := time.AfterFunc(stepTime, func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	line, err := s.ends.ReadString('\n')
	inTime := hung.Stop()
	out, rerr := os.ReadFile(s.output.Name())
	if rerr != nil {
		s.t.Fatal(rerr)
	}
	switch said := string(out[from:]); {
	case err == nil:
		s.cwd = strings.TrimSuffix(line, "\n")
		return said
	case !inTime:
		s.t.Fatalf("%s: still not done after %v:\n%s\nprinted\n%s", at, stepTime, commands, said)
	default:
		s.t.Fatalf("%s:\n%s\nprinted\n%s", at, commands, said)
	}
	return ""
}

// terminal is one in which a server runs until the reader ends it with Ctrl-C.
type terminal struct {
	at     string
	addr   string // of the server; a worker has none
	make   bool   // it runs below make, which says that it was interrupted
	cmd    *exec.Cmd
	output *output
	exited chan struct{}
}

func newTerminal(t *testing.T, at, cwd string, env []string, commands string) *terminal {
	t.Helper()
	file := filepath.Join(t.TempDir(), "step")
	if err := os.WriteFile(file, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	x := &terminal{at: at, make: strings.Contains(commands, "make run"), output: &output{}, exited: make(chan struct{})}
	x.cmd = exec.Command("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", file)
	x.cmd.Dir, x.cmd.Env = cwd, env
	x.cmd.Stdout, x.cmd.Stderr = x.output, x.output
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { x.cmd.Wait(); close(x.exited) }()
	return x
}

// interrupt is Ctrl-C: it goes to all that runs in the foreground, and what serves has to
// end in good order.
func (x *terminal) interrupt() error {
	syscall.Kill(-x.cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-x.exited:
	case <-time.After(2 * time.Minute):
		syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL)
		<-x.exited
		return errors.New("did not end within two minutes of Ctrl-C")
	}
	if code := x.cmd.ProcessState.ExitCode(); code != 0 && !x.make {
		return fmt.Errorf("ended as %s after Ctrl-C", x.cmd.ProcessState)
	}
	return nil
}
