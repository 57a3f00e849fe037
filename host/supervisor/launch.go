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
	answer, err := e.dispense(ctx, inst, sdk.HostSide(sdk.HostOptions{
		Config: e.sdkConfig(), Epoch: e.options.Epoch, Grace: e.options.Grace,
		Check: e.checkConfig, Start: e.options.StartTimeout, Silence: e.options.Silence,
	}))
	if err != nil {
		return err
	}
	conn, ok := answer.(sdk.HostConnection)
	if !ok {
		return fmt.Errorf("sdk gave a %T instead of a connection", answer)
	}
	inst.conn = conn
	return nil
}

// dispense starts the process and has side speak to it; what comes is side's answer.
func (e *Executor) dispense(ctx context.Context, inst *instance, side plugin.PluginSet) (any, error) {
	path, err := e.findPlugin()
	if err != nil {
		return nil, err
	}
	if err := e.prepare(inst, path); err != nil {
		return nil, err
	}
	inst.client = e.newClient(inst, side)
	answer, err := inst.connect(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, e.startError(path, inst, err)
	}
	return answer, nil
}

// checkConfig has the host check the config, by what the plugin says of it.
func (e *Executor) checkConfig(m sdk.Metadata) error {
	if e.options.CheckConfig == nil {
		return nil
	}
	return e.options.CheckConfig(e.config, m)
}

// sdkConfig is what the plugin is configured with.
func (e *Executor) sdkConfig() sdk.Config {
	config := sdk.NewConfig(e.config.Name, e.config.Config, nil)
	config.DataDir = e.dataDir
	config.Dir = e.options.ConfigDir
	config.HostURL = e.options.HostURL
	config.Slots = e.config.Slots
	config.Log = e.log
	return config
}

// findPlugin is the path of the plugin's binary, if it is there and may be run.
func (e *Executor) findPlugin() (string, error) {
	found, err := Lookup(e.options.PluginDirs, e.options.Builtins, e.config.Plugin)
	if err != nil {
		return "", err
	}
	if found.Writable != nil && !e.options.AllowWritable {
		return "", &operatorError{found.Writable}
	}
	return found.Path, nil
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

// connect starts the process and waits for its answer until ctx ends. go-plugin's waits
// have no bound of their own; they end with the process.
func (i *instance) connect(ctx context.Context) (any, error) {
	type answer struct {
		value any
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := connect(i.client)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		i.connected = a.err == nil
		if a.err != nil && i.process.pid() == 0 {
			i.process.markNeverStarted()
		}
		return a.value, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// connect starts the process and speaks to it.
func connect(client *plugin.Client) (any, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	return protocol.Dispense(sdk.PluginKey)
}

// newClient makes go-plugin's half. It is used for one start: a client whose
// process died answers the next Start with the old address.
func (e *Executor) newClient(inst *instance, side plugin.PluginSet) *plugin.Client {
	return plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: sdk.Handshake(),
		Plugins:         side,
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
