package queuetest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// rabbitBin holds RabbitMQ's own programs; those in PATH are for the system's service.
const rabbitBin = "/usr/lib/rabbitmq/bin/"

// RabbitMQ is a broker of this package's tests: Debian's, as a process of its own, with
// Erlang's port mapper beside it. It takes ten seconds to start, so the tests of a package
// share one, and each uses a queue of its own.
type RabbitMQ struct {
	// Address is where it listens without TLS, TLSAddress with it, and CA the file of the
	// authority that signed its certificate.
	Address, TLSAddress, CA string

	dir    string
	env    []string
	mapper *child

	mu     sync.Mutex // tests of a package may run at the same time
	broker *child     // nil while it does not run
}

var sharedRabbitMQ struct {
	once   sync.Once
	server *RabbitMQ
	err    error
}

// SharedRabbitMQ is the broker of this package's tests, running. It skips the test where
// none is installed. It ends with VerifyLeaks.
func SharedRabbitMQ(t testing.TB) *RabbitMQ {
	t.Helper()
	skipWithoutRabbitMQ(t)
	s := &sharedRabbitMQ
	s.once.Do(func() { s.server, s.err = newRabbitMQ() })
	if s.err != nil {
		t.Fatal(s.err)
	}
	s.server.Start(t)
	return s.server
}

// OwnRabbitMQ is a broker of this test's or benchmark's own, for packages whose tests do not
// end with VerifyLeaks.
func OwnRabbitMQ(t testing.TB) *RabbitMQServer {
	t.Helper()
	skipWithoutRabbitMQ(t)
	r, err := newRabbitMQ()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stopBroker)
	r.Start(t)
	return &RabbitMQServer{r, t}
}

func skipWithoutRabbitMQ(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(rabbitBin + "rabbitmq-server"); err != nil {
		t.Skip("LEFT OUT: RabbitMQ is not installed (Debian package rabbitmq-server)")
	}
}

// stop ends the broker and its port mapper.
func (r *RabbitMQ) stop() {
	if r != nil {
		r.stopBroker()
		r.mapper.kill()
	}
}

// stopBroker ends the broker and removes what it kept. Its port mapper ends with this process:
// what a broker that was killed as it began has started would start another, which stays.
func (r *RabbitMQ) stopBroker() {
	r.Kill()
	_ = os.RemoveAll(r.dir)
}

func newRabbitMQ() (*RabbitMQ, error) {
	dir, err := os.MkdirTemp("", "taskhost-rabbitmq-")
	if err != nil {
		return nil, err
	}
	r := &RabbitMQ{dir: dir}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	r.Address = "127.0.0.1:" + ports[0]
	r.env = append(os.Environ(),
		"HOME="+dir,                  // for the cookie
		"RUNNING_UNDER_SYSTEMD=true", // no shell stays in between
		"ERL_EPMD_PORT="+ports[1], "RABBITMQ_NODENAME=test@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT="+ports[0], "RABBITMQ_DIST_PORT="+ports[2],
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"), "RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "none"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "enabled_plugins"))
	r.TLSAddress = "127.0.0.1:" + ports[3]
	ca, cert, key, err := Certificates(dir)
	if err != nil {
		return nil, err
	}
	r.CA = ca
	conf := fmt.Sprintf("disk_free_limit.absolute = 1MB\nlisteners.ssl.1 = %s\nssl_options.cacertfile = %s\nssl_options.certfile = %s\nssl_options.keyfile = %s\n",
		r.TLSAddress, ca, cert, key)
	for file, text := range map[string]string{"rabbitmq.conf": conf, "enabled_plugins": "[]."} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	r.mapper, err = startMapper(dir, ports[1])
	return r, err
}

// freePorts finds TCP ports of the loopback address that nobody listens on, this process included
// once it returns.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // at the end, so that no port comes twice
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// startMapper starts a port mapper that answers when it returns: one that Erlang starts, where it
// finds none, is a daemon that outlives the broker.
func startMapper(dir, port string) (*child, error) {
	log := filepath.Join(dir, "epmd.log")
	mapper, err := startChild(exec.Command("epmd", "-address", "127.0.0.1", "-port", port), log)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if mapperAnswers(port) {
			return mapper, nil
		}
		select {
		case <-mapper.ended: // with status 0, and no word
			text, _ := os.ReadFile(log)
			return nil, fmt.Errorf("epmd has ended: is port %s taken? %s", port, text)
		default:
		}
	}
	mapper.kill()
	return nil, fmt.Errorf("epmd does not answer on port %s", port)
}

// mapperAnswers asks for the names that a port mapper has: anyone may listen on a port.
func mapperAnswers(port string) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte{0, 1, 'n'}); err != nil { // NAMES_REQ of the Erlang distribution protocol, behind its length
		return false
	}
	var own [4]byte // the port that it has itself
	_, err = io.ReadFull(c, own[:])
	return err == nil && strconv.Itoa(int(binary.BigEndian.Uint32(own[:]))) == port
}

// URL is where the broker listens, with the credentials of its administrator.
func (r *RabbitMQ) URL() string { return "amqp://guest:guest@" + r.Address }

// Start runs the broker with the data that it had, unless it runs already.
func (r *RabbitMQ) Start(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broker != nil {
		return
	}
	cmd := exec.Command(rabbitBin + "rabbitmq-server")
	cmd.Dir = r.dir
	cmd.Env = r.env
	log := filepath.Join(r.dir, "server.log")
	var err error
	if r.broker, err = startChild(cmd, log); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", r.Address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-r.broker.ended:
			end = time.Now()
		default:
		}
	}
	text, _ := os.ReadFile(log)
	t.Fatalf("RabbitMQ does not listen; its log: %s", text[max(0, len(text)-2000):])
}

// Settle waits until the broker would come back from Kill with the queues that it has: it
// confirms one before the name of its log is on disk, of which it says nothing.
func (r *RabbitMQ) Settle() { time.Sleep(3 * time.Second) }

// Kill ends the broker as a power cut does, but for the disk.
func (r *RabbitMQ) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broker != nil {
		r.broker.kill()
		r.broker = nil
	}
}

// Wipe removes all that the broker has on disk. It must not run.
func (r *RabbitMQ) Wipe(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(r.dir, "mnesia")); err != nil {
		t.Fatal(err)
	}
}

// Control runs the broker's own tool, which takes seconds, and returns what it prints.
func (r *RabbitMQ) Control(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(rabbitBin+"rabbitmqctl", append([]string{"-q"}, args...)...)
	cmd.Env = r.env
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %v: %v: %s", args, err, out)
	}
	return string(out)
}

// child is a process that ends with this one, however that ends.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func startChild(cmd *exec.Cmd, log string) (*child, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout = out
	cmd.Stderr = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c := &child{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel sends Pdeathsig when the thread ends that started it
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(c.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// kill ends the process, and what it started, and waits for it.
func (c *child) kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	<-c.ended
}
