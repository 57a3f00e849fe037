package supervisor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/taskhost/taskhost/sdk"
)

// operatorError is a failure that no restart cures: only an operator can.
type operatorError struct{ cause error }

func (e *operatorError) Error() string { return e.cause.Error() }
func (e *operatorError) Unwrap() error { return e.cause }

// launch starts one process and connects to it. Whatever goes wrong, nothing of
// it is left when launch returns. ctx aborts it.
func (e *Executor) launch(ctx context.Context, inst *instance) (err error) {
	defer func() {
		if err != nil {
			inst.end()
		}
	}()
	path, err := e.supervisor.lookup(e.config.Plugin)
	if err != nil {
		return err
	}
	if !e.options.AllowWritable {
		if err := writableByOthers(path); err != nil {
			return &operatorError{err}
		}
	}
	if e.dataDir != "" {
		if err := os.MkdirAll(e.dataDir, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, e.options.StartTimeout)
	defer cancel()
	binary, err := privateCopy(path, inst.dir(), e.config.SHA256)
	if sum := (*checksumError)(nil); errors.As(err, &sum) {
		return &operatorError{err}
	}
	if err != nil {
		return err
	}
	rec := record{Instance: inst.id, Executor: e.config.Name, Plugin: e.config.Plugin, Boot: e.supervisor.boot}
	if err := rec.write(e.supervisor.recordDir); err != nil {
		return err
	}
	inst.record = rec

	cmd := exec.Command(binary)
	cmd.Args[0] = path // the name that operators know
	cmd.Dir = e.dataDir
	cmd.Env = append(filterEnv(os.Environ(), defaultEnv, e.options.Env), instanceVar+"="+inst.id)
	inst.process = newProcess(cmd, inst.output, func(pid int, start uint64) error {
		rec.Pid, rec.Start = pid, start
		inst.showPid(pid)
		return rec.write(e.supervisor.recordDir)
	})
	inst.client = e.newClient(inst)

	type answer struct {
		conn sdk.HostConnection
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // go-plugin's waits have no bound of their own; they end with the process
		conn, err := connect(inst.client)
		answers <- answer{conn, err}
	}()
	select {
	case a := <-answers:
		if inst.conn, err = a.conn, a.err; err != nil && inst.process.pid() == 0 {
			inst.process.markNeverStarted()
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if err != nil {
		return e.startError(path, inst, err)
	}
	return nil
}

// connect starts the process and speaks to it until its hello.
func connect(client *plugin.Client) (sdk.HostConnection, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		return nil, err
	}
	conn, ok := raw.(sdk.HostConnection)
	if !ok {
		return nil, fmt.Errorf("sdk gave a %T instead of a connection", raw)
	}
	return conn, nil
}

// newClient makes go-plugin's half. It is used for one start: a client whose
// process died answers the next Start with the old address.
func (e *Executor) newClient(inst *instance) *plugin.Client {
	config := sdk.NewConfig(e.config.Name, e.config.Config, nil)
	config.DataDir, config.HostURL, config.Slots, config.Log = e.dataDir, e.options.HostURL, e.config.Slots, e.log
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: sdk.Handshake(),
		Plugins: sdk.HostSide(sdk.HostOptions{
			Config: config, Epoch: e.options.Epoch, Grace: e.options.Grace,
			Start: e.options.StartTimeout, Silence: e.options.Silence,
		}),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			// go-plugin's additions (cookie, certificate, socket directory) to ours
			inst.process.cmd.Env = append(inst.process.cmd.Env, cmd.Env...)
			return inst.process, nil
		},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		StartTimeout:     e.options.StartTimeout,
		GRPCDialOptions:  sdk.HostDialOptions(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: e.supervisor.socketDir},
		SyncStdout:       inst.output,
		SyncStderr:       inst.output,
		// Off: go-plugin parses what plugins print only to log it, and a line
		// that it does not expect makes the parser panic.
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	})
}

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
	var what string
	switch {
	case p.pid() == 0:
		if exec := (*os.PathError)(nil); errors.As(err, &exec) && exec.Op == "fork/exec" {
			return &operatorError{execError(path, exec.Err)}
		}
		return fmt.Errorf("plugin %s could not be started: %w", path, err)
	case p.endedUnkilled() && line == "":
		what = p.howItEnded() + " before it said that it is ready. A plugin calls sdk.Serve in main and does not return"
	case !isHandshake(line) && line != "":
		what = fmt.Sprintf("printed %q where the handshake belongs. Nothing may be written to stdout before sdk.Serve: use stderr", line)
	case p.endedUnkilled():
		what = p.howItEnded() + " while it was being connected to"
	case late && line == "":
		what = fmt.Sprintf("said nothing for %s. A plugin calls sdk.Serve first and does slow work later", e.options.StartTimeout)
	case late:
		what = fmt.Sprintf("said that it is ready and then did not answer for %s", e.options.StartTimeout)
	case line == "":
		what = "closed its stdout without a handshake. A plugin calls sdk.Serve in main"
	default:
		what = handshakeError(line, err)
	}
	p.kill()
	p.waitOutputRead(time.Second) // the last lines come with its end
	return fmt.Errorf("plugin %s %s%s", path, what, inst.output.tailText())
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

// newID is 128 random bits in hexadecimal.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
