package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/taskhost/taskhost/host/task"
)

// Supervisor keeps the plugin processes of one host.
type Supervisor struct {
	options   Options
	lock      *os.File
	recordDir string // a record of each instance that may be alive
	copyDir   string // private copies of binaries
	socketDir string
	boot      string

	mu        sync.Mutex
	executors map[string]*Executor
	closed    bool
}

// Open takes the run directory for this process alone and ends whatever an
// earlier host left behind in it. Close the supervisor to let go of it.
func Open(o Options) (*Supervisor, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Supervisor{
		options: o, boot: bootID(), executors: map[string]*Executor{},
		recordDir: filepath.Join(o.RunDir, "instances"),
		copyDir:   filepath.Join(o.RunDir, "bin"),
	}
	if err := os.MkdirAll(o.RunDir, 0o700); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if err := os.Chmod(o.RunDir, 0o700); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if s.lock, err = lockDir(o.RunDir); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		_ = s.lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *Supervisor) prepare() error {
	if err := os.MkdirAll(s.recordDir, 0o700); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if err := sweep(s.recordDir, s.options.Log); err != nil {
		return err
	}
	if err := makeEmptyDir(s.copyDir); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	var err error
	s.socketDir, err = makeSocketDir(s.options.RunDir)
	return err
}

// lockDir keeps a second host out: it would take this one's plugins for the
// leftovers of a dead host, and end them.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("run directory %s is in use by another taskhost: end that one, or give this one a directory of its own", dir)
		}
		return nil, fmt.Errorf("lock run directory %s: %w", dir, err)
	}
	return f, nil
}

// Start begins to keep an executor and returns at once; its first process is started in
// the background. dataDir is the executor's alone and made with mode 0700; "" gives it
// none. An error means that the config can never
// work as it stands: everything else is the executor's Status, a plugin that is not
// there (yet) too.
func (s *Supervisor) Start(config task.ExecutorConfig, dataDir string) (*Executor, error) {
	if err := s.checkConfig(config); err != nil {
		return nil, fmt.Errorf("executor %q: %w", config.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("supervisor is closed")
	}
	if e := s.executors[config.Name]; e != nil && e.isRunning() {
		return nil, fmt.Errorf("executor %q is running already", config.Name)
	}
	e := newExecutor(s, config, dataDir)
	s.executors[config.Name] = e
	go e.run()
	return e, nil
}

func (s *Supervisor) checkConfig(config task.ExecutorConfig) error {
	switch {
	case config.Name == "":
		return errors.New("an executor needs a name")
	case config.Plugin == "" || config.Plugin != filepath.Base(config.Plugin) || strings.HasPrefix(config.Plugin, "."):
		return fmt.Errorf("plugin %q: write the name of a file in a plugin directory, not a path", config.Plugin)
	case config.SHA256 != "" && !isSHA256(config.SHA256):
		return fmt.Errorf("sha256 %q: want 64 hexadecimal digits, as sha256sum prints them", config.SHA256)
	case config.OnHostExit == task.OnHostExitSurvive:
		return errors.New(`on_host_exit = "survive" is not supported yet: leave it out, or write "die"`)
	case config.OnHostExit != "" && config.OnHostExit != task.OnHostExitDie:
		return fmt.Errorf("on_host_exit = %q: want %q", config.OnHostExit, task.OnHostExitDie)
	}
	return nil
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

// Close stops all executors, as Executor.Stop does, and lets go of the run
// directory. When ctx ends, what still runs is killed.
func (s *Supervisor) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	all := make([]*Executor, 0, len(s.executors))
	for _, e := range s.executors {
		all = append(all, e)
	}
	s.mu.Unlock()

	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, e := range all {
		wg.Go(func() { errs[i] = e.Stop(ctx) })
	}
	wg.Wait()
	if !strings.HasPrefix(s.socketDir, s.options.RunDir) {
		errs = append(errs, os.RemoveAll(s.socketDir))
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
