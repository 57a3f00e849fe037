package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a taskhost that the demo started, and ends.
type process struct {
	name string
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan struct{}
	addr string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (p *process) output() string {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return p.name + " said:\n" + p.out.b.String()
}

const hostConfig = `
listen     = "127.0.0.1:0"
data_dir   = %[1]q
plugin_dir = %[2]q

executor "local" {
  plugin = "eventlet-style"
  config {
    scripts = { import = { images_dir = %[3]q, import_root = %[4]q, allow_hosts = ["127.0.0.1"], allow_ports = [%[5]d] } }
  }
}

executor "images" {
  plugin = "import"
  slots  = 4
  config {
    images_dir  = %[3]q
    import_root = %[4]q
    allow_hosts = ["127.0.0.1"]
    allow_ports = [%[5]d]
  }
}

executor "fleet" {
  plugin = "remote-queue"
}
`

func startHost(ctx context.Context, bin, dir, images string, port int) (*process, error) {
	root, err := filepath.Abs(images)
	if err != nil {
		return nil, err
	}
	plugins, err := filepath.Abs(filepath.Join(bin, "plugins"))
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	p, err := start(bin, dir, "host", fmt.Sprintf(hostConfig, data, plugins, filepath.Join(dir, "images"), root, port), "server")
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		if addr, err := os.ReadFile(filepath.Join(data, "address")); err == nil {
			p.addr = strings.TrimSpace(string(addr))
			return p, p.answers(ctx)
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("the host ended: %s", p.output())
		case <-time.After(20 * time.Millisecond): // another process: nothing to wait on
		}
	}
	return nil, fmt.Errorf("the host did not come up: %s", p.output())
}

// answers waits for the host's first answer: it listens before its executors are made, and
// with them what a worker joins.
func (p *process) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the host does not answer: %w\n%s", err, p.output())
	}
	return resp.Body.Close()
}

const workerConfig = `
name     = "w1"
data_dir = %[1]q
queue {
  join = %[2]q
}
executor "local" {
  plugin = "eventlet-style"
  config {
    scripts = { import = { images_dir = %[3]q, import_root = %[4]q, allow_hosts = ["127.0.0.1"], allow_ports = [%[5]d] } }
  }
}
`

func startWorker(bin, dir, images string, port int) (*process, error) {
	root, err := filepath.Abs(images)
	if err != nil {
		return nil, err
	}
	return start(bin, dir, "worker", fmt.Sprintf(workerConfig, filepath.Join(dir, "w1"), filepath.Join(dir, "data"), filepath.Join(dir, "w1-images"), root, port), "worker")
}

func start(bin, dir, name, config string, command string) (*process, error) {
	file := filepath.Join(dir, name+".hcl")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p := &process{name: name, done: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(bin, "taskhost"), command, "--config", file)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // its end is judged by stop
		close(p.done)
	}()
	return p, nil
}

// stop asks the process to end, and says if it did not in good order.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // gone already: its exit code tells
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("the %s did not end when asked: %s", p.name, p.output())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the %s ended with exit code %d: %s", p.name, code, p.output())
	}
	return nil
}
