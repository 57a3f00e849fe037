package sdk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// processPlugin is what the test binary serves as a process of its own.
func processPlugin() Plugin {
	return Plugin{Name: "process", Version: "1.2.3", New: func(cfg Config) (Executor, error) {
		return Scripts(processScripts(cfg.Log)...)(cfg)
	}}
}

func processScripts(log hclog.Logger) []Script {
	return []Script{
		Func("print", func(_ context.Context, _ struct{}, r Reporter) (string, error) {
			fmt.Println("a script prints to standard output")
			for range 2000 { // more than any pipe holds
				fmt.Fprintln(os.Stderr, strings.Repeat("to standard error ", 10))
			}
			r.Log().Info("logged")
			return "printed", nil
		}),
		// Leaves so many bytes of garbage behind, and says how often it was collected.
		Func("garbage", func(_ context.Context, bytes int, _ Reporter) (int, error) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range bytes >> 10 {
				garbage = make([]byte, 1<<10)
			}
			runtime.ReadMemStats(&after)
			return int(after.NumGC - before.NumGC), nil
		}),
		// Leaves a file when it is told why to stop.
		Func("mark", func(ctx context.Context, path string, r Reporter) (string, error) {
			r.Progress(1, 0, "running")
			<-ctx.Done()
			return "", os.WriteFile(path, []byte(context.Cause(ctx).Error()), 0o600)
		}),
		// Runs until a file is there, and then speaks in each way there is.
		Func("until", func(ctx context.Context, path string, r Reporter) (string, error) {
			r.Progress(1, 0, "running")
			for {
				if _, err := os.Stat(path); err == nil {
					r.Log().Info("seen")
					log.Info("seen")
					for _, to := range []*os.File{os.Stdout, os.Stderr} {
						_, _ = fmt.Fprintln(to, "seen") // where nobody may listen any more
					}
					return "seen", nil
				}
				select {
				case <-ctx.Done():
					return "", context.Cause(ctx)
				case <-time.After(20 * time.Millisecond):
				}
			}
		}),
	}
}

var garbage []byte

// hostRole is what the process in the host's role is told and what it answers.
type hostRole struct {
	Type, Input string
	Token       Token
	Survive     bool
}

type hostAnswer struct {
	Pid  int
	Addr string
}

// runHost starts a plugin and one attempt on it, says so, and waits to be killed.
func runHost() int {
	var role hostRole
	if err := json.Unmarshal([]byte(os.Getenv("SDK_TEST_HOST")), &role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	client, c, err := startProcess(HostOptions{Epoch: 1, Survive: role.Survive}, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	running := make(chan struct{}, 1)
	go func() {
		_, _ = c.Execute(context.Background(), Task{ID: "t", Type: role.Type, Attempt: 1, Token: role.Token,
			Input: []byte(role.Input)}, NewReporter(ReporterFuncs{Progress: func(int64, int64, string) { running <- struct{}{} }}))
	}()
	<-running
	a := hostAnswer{Pid: client.ReattachConfig().Pid, Addr: client.ReattachConfig().Addr.String()}
	_ = json.NewEncoder(os.Stdout).Encode(a)
	select {}
}

// startProcess starts the test binary as a plugin.
func startProcess(o HostOptions, stderr io.Writer) (*plugin.Client, HostConnection, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SDK_TEST_ROLE=plugin")
	return dispense(o, &plugin.ClientConfig{Cmd: cmd, Stderr: stderr, AutoMTLS: !o.Survive, SkipHostEnv: true})
}

func dispense(o HostOptions, cfg *plugin.ClientConfig) (*plugin.Client, HostConnection, error) {
	if o.Config.Executor == "" {
		o.Config = NewConfig("test", nil, nil)
	}
	cfg.HandshakeConfig, cfg.Plugins, cfg.GRPCDialOptions = Handshake(), HostSide(o), HostDialOptions()
	cfg.AllowedProtocols = []plugin.Protocol{plugin.ProtocolGRPC}
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Off})
	client := plugin.NewClient(cfg)
	protocol, err := client.Client()
	if err != nil {
		return client, nil, err
	}
	raw, err := protocol.Dispense(PluginKey)
	if err != nil {
		return client, nil, err
	}
	return client, raw.(HostConnection), nil
}

// killedHost runs a host process up to its attempt, and kills it with SIGKILL.
func killedHost(t *testing.T, role hostRole) hostAnswer {
	t.Helper()
	spec, err := json.Marshal(role)
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), "SDK_TEST_ROLE=host", "SDK_TEST_HOST="+string(spec))
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if killErr := host.Process.Kill(); killErr != nil {
		t.Fatal(killErr)
	}
	_ = host.Wait() // killed, as it should be
	var a hostAnswer
	if err != nil || json.Unmarshal(line, &a) != nil || a.Pid == 0 {
		t.Fatalf("the host said %q: %v", line, err)
	}
	t.Cleanup(func() { _ = syscall.Kill(a.Pid, syscall.SIGKILL) })
	return a
}

// alive says whether a process that is no child of this one still runs. One that
// ended and is not yet reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// eventually polls, as one must for other processes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// A plugin ends when its host is killed, and its attempts hear why before.
func TestProcessEndsWithItsHost(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	input, _ := json.Marshal(mark)
	host := killedHost(t, hostRole{Type: "mark", Input: string(input), Token: randomToken()})
	eventually(t, "the plugin ends", func() bool { return !alive(host.Pid) })
	got, err := os.ReadFile(mark)
	if err != nil || string(got) != ErrDetach.Error() {
		t.Errorf("the attempt was told %q (%v), want %q", got, err, ErrDetach)
	}
}

// One that is to survive goes on, also if it logs and prints where nobody listens any more, and
// the next host gets the outcome.
func TestProcessSurvivesItsHost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	input, _ := json.Marshal(file)
	token := randomToken()
	host := killedHost(t, hostRole{Type: "until", Input: string(input), Token: token, Survive: true})
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client, c, err := dispense(HostOptions{Epoch: 2, Survive: true}, &plugin.ClientConfig{Reattach: &plugin.ReattachConfig{
		Protocol: plugin.ProtocolGRPC, ProtocolVersion: 1, Pid: host.Pid,
		Addr: &net.UnixAddr{Net: "unix", Name: host.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Kill()
	h := c.Hello()
	if h.Pid != host.Pid || h.Name != filepath.Base(os.Args[0]) || h.Version != "1.2.3" || h.Instance == "" {
		t.Errorf("hello: %+v", h)
	}
	if known := append(h.Running, h.Finished...); len(known) != 1 || known[0] != token {
		t.Errorf("hello names %v, want the attempt of the host before", known)
	}
	res, err := c.Execute(t.Context(), Task{Type: "until", Token: token, Rejoin: true}, NewReporter(ReporterFuncs{}))
	if err != nil || string(res.Data) != `"seen"` {
		t.Fatalf("rejoined: %s, %v", res.Data, err)
	}
	c.Settled(token)
	drained, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Drain(drained); err != nil {
		t.Error(err)
	}
}

// A process that no host ever comes to ends by itself, though not while a host configures it.
func TestEndsWithoutHost(t *testing.T) {
	making, goOn := make(chan struct{}), make(chan struct{})
	s := newServer(Plugin{New: func(Config) (Executor, error) {
		close(making)
		<-goOn
		return NewScripts(Func("a", answer))
	}})
	ends := func(after time.Duration) bool { return s.shouldEnd(time.Time{}, time.Now().Add(after)) != "" }
	if ends(unclaimedFor-10*time.Second) || !ends(unclaimedFor+time.Second) {
		t.Error("before the first host: it should end after a minute, and not before")
	}
	configured := make(chan error, 1)
	go func() {
		_, err := s.Configure(context.Background(), &pb.ConfigureRequest{Executor: "x"})
		configured <- err
	}()
	<-making
	if ends(time.Hour) {
		t.Error("it should not end while a host configures it")
	}
	close(goOn)
	if err := <-configured; err != nil {
		t.Fatal(err)
	}
	sess, err := s.open(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if ends(time.Hour) {
		t.Error("it should not end while a host is there")
	}
	s.close(sess)
	if !ends(hostlessFor + time.Second) {
		t.Error("it should end after its host has gone")
	}
}

// What a script prints, however much, neither blocks it nor breaks the protocol.
func TestProcessPrints(t *testing.T) {
	client, c, err := startProcess(HostOptions{}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Kill()
	res, err := c.Execute(t.Context(), Task{Type: "print", Token: randomToken(), Input: []byte("{}")}, NewReporter(ReporterFuncs{}))
	if err != nil || string(res.Data) != `"printed"` {
		t.Fatalf("%s, %v", res.Data, err)
	}
	wrong, _, err := startProcess(HostOptions{Config: NewConfig("images", []byte(`{"sltos": 1}`), nil)}, io.Discard)
	if !errors.Is(err, ErrConfigRefused) || !strings.Contains(err.Error(), `"images"`) || !strings.Contains(err.Error(), "sltos") {
		t.Errorf("want an error that says config refused and names executor and key: %v", err)
	}
	wrong.Kill()
}

// What attempts leave behind is not collected each 4 MiB, unless GOGC says so.
func TestProcessCollectsSeldom(t *testing.T) {
	for _, gogc := range []string{"", "50"} {
		t.Setenv("GOGC", gogc)
		client, c, err := startProcess(HostOptions{}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Kill()
		res, err := c.Execute(t.Context(), Task{Type: "garbage", Token: randomToken(), Input: []byte("12582912")}, NewReporter(ReporterFuncs{}))
		times, _ := strconv.Atoi(string(res.Data))
		if err != nil || (times <= 1) != (gogc == "") {
			t.Errorf("with GOGC=%q 12 MiB of garbage: collected %s times, %v", gogc, res.Data, err)
		}
	}
}

// SIGTERM: what runs may finish, and is reported, before the process ends.
func TestProcessDrainsOnSIGTERM(t *testing.T) {
	client, c, err := startProcess(HostOptions{}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Kill()
	file := filepath.Join(t.TempDir(), "file")
	input, _ := json.Marshal(file)
	task := Task{Type: "until", Token: randomToken(), Input: input}
	running := make(chan struct{}, 1)
	result := make(chan error, 1)
	go func() {
		_, err := c.Execute(context.Background(), task,
			NewReporter(ReporterFuncs{Progress: func(int64, int64, string) { running <- struct{}{} }}))
		c.Settled(task.Token)
		result <- err
	}()
	<-running
	if err := syscall.Kill(c.Hello().Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no more starts are taken", func() bool {
		late := Task{Type: "until", Token: randomToken(), Input: input}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(ErrCancel) // or it would wait for the file, if it is taken
		_, err := c.Execute(ctx, late, NewReporter(ReporterFuncs{}))
		c.Settled(late.Token)
		return errors.Is(err, ErrReleased)
	})
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("an attempt that ran at SIGTERM: %v", err)
	}
	<-c.Done()
}

// Run by hand it says what it is, where it belongs, and what it is called there: what its file is.
func TestProcessByHand(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "my-plugin")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), "SDK_TEST_ROLE=plugin", Handshake().MagicCookieKey+"=")
	out, err := cmd.CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("want exit code 2: %v", err)
	}
	for _, word := range []string{"my-plugin 1.2.3", `plugin = "my-plugin"`, "plugin_dir", "not by hand", "taskhost plugin check " + path} {
		if !strings.Contains(string(out), word) {
			t.Errorf("the message lacks %q: %s", word, out)
		}
	}
}
