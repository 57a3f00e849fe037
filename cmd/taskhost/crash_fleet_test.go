package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

// peer is a process beside the server: a worker, or a broker.
type peer struct {
	t      *testing.T
	make   func() *exec.Cmd
	cmd    *exec.Cmd
	output *output
	exited chan struct{}
}

func newPeer(t *testing.T, makeCmd func() *exec.Cmd) *peer {
	p := &peer{t: t, make: makeCmd}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.output != nil {
			t.Logf("a process beside the server said:\n%s", p.output)
		}
	})
	return p
}

func (p *peer) start() {
	p.t.Helper()
	p.cmd, p.output, p.exited = p.make(), &output{}, make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { cmd.Wait(); close(exited) }(p.cmd, p.exited)
}

func (p *peer) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.exited
	p.cmd = nil
}

// worker is a process that runs the journal for the server's fleet, with more lines in its
// config if any.
func (s *server) worker(name, queue string, more ...string) *peer {
	s.t.Helper()
	file := filepath.Join(s.dir, name+".hcl")
	config := strings.Join(more, "\n") + fmt.Sprintf("\nname = %q\ndata_dir = %q\nqueue {\n%s\n}\nexecutor \"local\" {\n  plugin = \"eventlet-style\"\n  slots = 20\n  config {\n    scripts = { journal = { path = %q } }\n  }\n}\n",
		name, filepath.Join(s.dir, name), queue, s.journal())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return newPeer(s.t, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "worker", "--config", file)
		cmd.Env = append(os.Environ(), "TASKHOST_TEST_JOURNAL=1")
		return cmd
	})
}

// fleet is an executor whose workers are processes of their own: they may be slow to be heard on
// a busy machine.
func fleet(config string) string { return fleetWith("5s", config) }

// fleetWith is a fleet for tests that wait until a worker is taken for lost.
func fleetWith(lapse, config string) string {
	return "executor \"fleet\" {\n  plugin = \"remote-queue\"\n  slots = 50\n  config {\n    heartbeat = \"200ms\"\n    lapse = \"" + lapse + "\"\n    rejoin = \"4s\"\n" + config + "\n  }\n}\n"
}

// known waits until the fleet has offered the journal.
func (s *server) known() {
	s.t.Helper()
	s.knownType("journal")
}

// startFleet starts the server with one worker of its fleet, which it gives, once that has
// offered the journal.
func (s *server) startFleet() *peer {
	s.t.Helper()
	w := s.worker("w1", "join = \""+s.data()+"\"")
	s.start()
	w.start()
	s.until("the fleet's worker offers the journal", func() bool {
		var x api.Executor
		s.get("/v1/executors/fleet", &x)
		return len(x.Nodes) == 1 && slices.Contains(x.Types, "journal")
	})
	return w
}

// knownType waits until an executor has offered a type.
func (s *server) knownType(name string) {
	s.t.Helper()
	s.until("type "+name+" is known", func() bool {
		status, _, err := s.call("GET", "/v1/types/"+name, "")
		return err == nil && status == 200
	})
}

// crashFleet runs the load while crash is called again and again.
func (s *server) crashFleet(few int, crash func(round int)) {
	s.t.Helper()
	var accepted []string
	for round := range rounds(few) {
		l := s.load(4, journalTask)
		pause(300*time.Millisecond, 700*time.Millisecond)
		crash(round)
		accepted = append(accepted, l.end()...)
	}
	s.settle()
	s.verify(accepted)
	if err := s.stop(); err != nil {
		s.t.Error(err)
	}
}

// kill -9 of the host, of a worker, and of the broker, under load: as for local
// executors, and a task with max_lost = 0 runs at most once.
func TestCrashFleet(t *testing.T) {
	t.Parallel()
	t.Run("host", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "", fleetWith("1s", ""))
		w := s.worker("w1", "join = \""+s.data()+"\"")
		s.start()
		w.start()
		s.known()
		s.crashFleet(3, func(int) { s.kill(); s.start() })
	})
	t.Run("worker", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, "", fleetWith("1s", ""))
		w, other := s.worker("w1", "join = \""+s.data()+"\""), s.worker("w2", "join = \""+s.data()+"\"")
		s.start()
		w.start()
		other.start()
		s.known()
		s.crashFleet(3, func(int) { w.kill(); w.start() })
	})
	t.Run("external broker", func(t *testing.T) {
		t.Parallel()
		broker, addr, store := natsServer(t)
		s := newServer(t, "", fleetWith("1s", "    url = \"nats://"+addr+"\""))
		w := s.worker("w1", "url = \"nats://"+addr+"\"")
		s.start()
		w.start()
		s.known()
		s.crashFleet(3, func(round int) {
			broker.kill()
			if round == 1 { // and everything it kept
				if err := os.RemoveAll(store); err != nil {
					t.Error(err)
				}
			}
			broker.start()
		})
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		r := queuetest.OwnRabbitMQ(t)
		s := newServer(t, "", fleetWith("1s", "    url = \""+r.URL()+"\""))
		w := s.worker("w1", "url = \""+r.URL()+"\"")
		s.start()
		w.start()
		s.known()
		r.Settle()
		var accepted []string
		for round := range rounds(4) {
			l := s.load(2, journalTask)
			pause(100*time.Millisecond, 300*time.Millisecond)
			mend := crashRabbitMQ(s, w, r, round%4)
			pause(100*time.Millisecond, 300*time.Millisecond)
			accepted = append(accepted, l.end()...) // what follows takes many seconds
			mend()
		}
		s.settle()
		s.verify(accepted)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// crashRabbitMQ has the broker die, lose what waits, forget all and run out of disk, in turn;
// mend does what is not done under load.
func crashRabbitMQ(s *server, w *peer, r *queuetest.RabbitMQServer, round int) (mend func()) {
	switch round {
	case 0:
		r.RabbitMQ.Kill()
		return r.Start
	case 1:
		return func() {
			r.Control(s.t, "purge_queue", "taskhost.default.lane.any_journal")
			s.kill()
			s.start()
		}
	case 2:
		r.RabbitMQ.Kill()
		r.Wipe()
		w.kill()
		return func() { r.Start(); w.start() }
	}
	return func() {
		r.Control(s.t, "set_disk_free_limit", "1000000GB")
		pause(2*time.Second, 3*time.Second) // longer than the lapse
		r.Control(s.t, "set_disk_free_limit", "1MB")
	}
}

// A second SIGTERM ends a worker whose script does not listen, with a word why.
func TestSecondSignalEndsWorker(t *testing.T) {
	s := newServer(t, "", fleet(""))
	w := s.worker("w1", "join = \""+s.data()+"\"")
	s.start()
	w.start()
	s.known()
	if status, body, err := s.call("POST", "/v1/tasks", `{"type":"journal","input":{"seconds":3600,"deaf":true}}`); err != nil || status != 202 {
		t.Fatalf("submit: %d %v %s", status, err, body)
	}
	s.until("the script runs", func() bool { return len(s.starts()) == 1 })
	w.cmd.Process.Signal(syscall.SIGTERM)
	s.until("it drains", func() bool { return strings.Contains(w.output.String(), "draining") })
	w.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-w.exited:
	case <-time.After(30 * time.Second):
		t.Fatal("it still runs")
	}
	if code := w.cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(w.output.String(), "second signal") {
		t.Errorf("exit code %d, and it says:\n%s", code, w.output)
	}
}

// freePort is an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// natsServer starts Debian's nats-server on a port of its own, keeping what it
// has in store.
func natsServer(t *testing.T) (broker *peer, addr, store string) {
	t.Helper()
	bin, err := exec.LookPath("nats-server")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/nats-server"); err != nil {
			t.Skip("no nats-server on this machine: Debian's package nats-server has it")
		}
	}
	addr, store = freePort(t), filepath.Join(t.TempDir(), "js")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	broker = newPeer(t, func() *exec.Cmd { return exec.Command(bin, "-js", "-a", "127.0.0.1", "-p", port, "-sd", store) })
	broker.start()
	return broker, addr, store
}

// What a broker's messages cannot hold goes by the host's REST.
func TestFleetCarriesByReference(t *testing.T) {
	_, addr, _ := natsServer(t)
	s := newServer(t, "", fleet("    url = \"nats://"+addr+"\"")+"task_type \"journal\" {\n  max_input = \"8MiB\"\n}\n")
	w := s.worker("w1", "url = \"nats://"+addr+"\"")
	s.start()
	w.start()
	s.known()
	big := strings.Repeat("0123456789abcdef", 3<<20/16) // the broker carries 1 MiB
	id := s.submit(`{"type":"journal","input":{"result":"` + big + `"}}`)
	var got apiTask
	s.get("/v1/tasks/"+id+"?wait=60s", &got)
	if got.State != "succeeded" || got.Result != big {
		t.Errorf("%s, %+v, a result of %d bytes", got.State, got.Error, len(fmt.Sprint(got.Result)))
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
