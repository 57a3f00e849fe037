package supervisor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/taskhost/taskhost/sdk"
)

// launch starts one process and connects to it. Whatever goes wrong, nothing of
// it is left when launch returns. ctx aborts it.
func (e *Executor) launch(ctx context.Context, inst *instance) (err error) {
	defer func() {
		if err != nil {
			inst.end()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, e.options.StartTimeout)
	defer cancel()
	path, err := e.findPlugin()
	if err != nil {
		return err
	}
	if err := e.prepare(inst, path); err != nil {
		return err
	}
	inst.client = e.newClient(inst)
	err = inst.connect(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if err != nil {
		return e.startError(path, inst, err)
	}
	return nil
}

// findPlugin is the path of the plugin's binary, if it is there and may be run.
func (e *Executor) findPlugin() (string, error) {
	path, err := e.supervisor.lookup(e.config.Plugin)
	if err != nil {
		return "", err
	}
	if !e.options.AllowWritable {
		if err := writableByOthers(path); err != nil {
			return "", &operatorError{err}
		}
	}
	return path, nil
}

// prepare verifies the binary at path, puts the instance on record, and makes the process
// that is to be started, with its environment.
func (e *Executor) prepare(inst *instance, path string) error {
	if e.dataDir != "" {
		if err := os.MkdirAll(e.dataDir, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
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
		rec.Pid = pid
		rec.Start = start
		inst.showPid(pid)
		return rec.write(e.supervisor.recordDir)
	})
	return nil
}

// connect starts the process and waits for its hello until ctx ends. go-plugin's waits
// have no bound of their own; they end with the process.
func (i *instance) connect(ctx context.Context) error {
	type answer struct {
		conn sdk.HostConnection
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		conn, err := connect(i.client)
		answers <- answer{conn, err}
	}()
	select {
	case a := <-answers:
		i.conn = a.conn
		if a.err != nil && i.process.pid() == 0 {
			i.process.markNeverStarted()
		}
		return a.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
	config.DataDir = e.dataDir
	config.HostURL = e.options.HostURL
	config.Slots = e.config.Slots
	config.Log = e.log
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

// newID is 128 random bits in hexadecimal.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
