package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/sdk"
)

// operatorError is a failure that no restart cures: only an operator can.
type operatorError struct{ cause error }

func (e *operatorError) Error() string { return e.cause.Error() }
func (e *operatorError) Unwrap() error { return e.cause }

// startError explains why a start failed and what to do, with the last lines
// that the plugin printed. What go-plugin says of it is only used where nothing
// better is known.
func (e *Executor) startError(path string, inst *instance, err error) error {
	p := inst.process
	if errors.Is(err, sdk.ErrConfigRefused) {
		return &operatorError{err}
	}
	line, spoke := p.firstLine.text()
	late := errors.Is(err, context.DeadlineExceeded) || !spoke
	if !late {
		p.waitOutputRead(250 * time.Millisecond) // an exit explains more than what it broke
	}
	if p.pid() == 0 {
		if exec := (*os.PathError)(nil); errors.As(err, &exec) && exec.Op == "fork/exec" {
			return &operatorError{execError(path, exec.Err)}
		}
		return fmt.Errorf("plugin %s could not be started: %w", path, err)
	}
	what := e.failedStart(p, line, late, err)
	p.kill()
	p.waitOutputRead(time.Second) // the last lines come with its end
	return fmt.Errorf("plugin %s %s%s", path, what, inst.output.tailText())
}

// failedStart says what a process did that was started and could not be connected to.
// line is the first that it printed; late says that time was up, or that it printed none.
func (e *Executor) failedStart(p *process, line string, late bool, err error) string {
	switch {
	case p.endedUnkilled() && line == "":
		return p.howItEnded() + " before it said that it is ready. A plugin calls sdk.Serve in main and does not return"
	case !isHandshake(line) && line != "":
		return fmt.Sprintf("printed %q where the handshake belongs. Nothing may be written to stdout before sdk.Serve: use stderr", line)
	case p.endedUnkilled():
		return p.howItEnded() + " while it was being connected to"
	case late && line == "":
		return fmt.Sprintf("said nothing for %s. A plugin calls sdk.Serve first and does slow work later", e.options.StartTimeout)
	case late:
		return fmt.Sprintf("said that it is ready and then did not answer for %s", e.options.StartTimeout)
	case line == "":
		return "closed its stdout without a handshake. A plugin calls sdk.Serve in main"
	}
	return handshakeError(line, err)
}

// isHandshake tells a handshake line from whatever else a program may print.
func isHandshake(line string) bool {
	core, _, ok := strings.Cut(line, "|")
	_, err := strconv.Atoi(core)
	return ok && err == nil && strings.Count(line, "|") >= 3
}

// handshakeError explains a handshake that was understood and not accepted.
func handshakeError(line string, err error) string {
	want := sdk.Handshake().ProtocolVersion
	parts := strings.Split(line, "|")
	switch {
	case parts[0] != strconv.Itoa(plugin.CoreProtocolVersion), parts[1] != strconv.FormatUint(uint64(want), 10):
		return fmt.Sprintf("speaks version %s of go-plugin's protocol and version %s of taskhost's, and this host versions %d and %d: build it with the sdk of this host's version",
			parts[0], parts[1], plugin.CoreProtocolVersion, want)
	case len(parts) < 5 || parts[4] != string(plugin.ProtocolGRPC):
		return "does not speak gRPC: its handshake line must be 1|1|unix|PATH|grpc"
	}
	return fmt.Sprintf("could not be connected to: %v", err)
}

// execError explains why a binary could not be executed at all.
func execError(path string, err error) error {
	hint := "see that the file can be executed"
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		hint = fmt.Sprintf("it is no program for %s/%s: build it for this machine", runtime.GOOS, runtime.GOARCH)
	case errors.Is(err, os.ErrNotExist):
		hint = "its interpreter (the first line of a script, or the loader of a binary) is not on this machine"
	case errors.Is(err, os.ErrPermission):
		hint = "it is copied before it is run, and the directory of the copy may be mounted noexec: choose another data directory"
	}
	return fmt.Errorf("plugin %s cannot be executed: %w: %s", path, err, hint)
}
