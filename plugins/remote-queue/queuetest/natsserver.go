package queuetest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// NATSServer is a broker of another's: Debian's, as a process of its own.
type NATSServer struct {
	t       *testing.T
	bin     string
	Address string
	dir     string
	cmd     *exec.Cmd
}

// NewNATSServer starts a server, and skips the test where none is installed.
func NewNATSServer(t *testing.T) *NATSServer {
	t.Helper()
	bin, err := exec.LookPath("nats-server")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/nats-server"); err != nil {
			t.Skip("LEFT OUT: nats-server is not installed (Debian package nats-server)")
		}
	}
	s := &NATSServer{t: t, bin: bin, Address: FreeAddress(t), dir: t.TempDir()}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// URL is where the server listens.
func (s *NATSServer) URL() string { return "nats://" + s.Address }

// Addr is the same without the scheme.
func (s *NATSServer) Addr() string { return s.Address }

// URLAt is the server by way of another address, with credentials that it does not look at.
func (s *NATSServer) URLAt(address string) string { return "nats://user:secret@" + address }

// Queue is any: the server is this test's own.
func (s *NATSServer) Queue() string { return "default" }

// Start runs the server again, with the data that it had.
func (s *NATSServer) Start() {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(s.bin, "-a", host, "-p", port, "-js", "-sd", s.dir)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	Eventually(s.t, "nats-server listens", func() bool {
		c, err := net.Dial("tcp", s.Address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// Kill ends it as a power cut does, but for the disk.
func (s *NATSServer) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Wipe removes what the server has on disk. It must not run.
func (s *NATSServer) Wipe() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "jetstream")); err != nil {
		s.t.Fatal(err)
	}
}
