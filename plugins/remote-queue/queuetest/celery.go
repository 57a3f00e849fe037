package queuetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python is Debian's interpreter, which has Debian's packages.
const python = "/usr/bin/python3"

// CeleryWorker is a worker of a Celery app, as a process of its own with those of its pool.
type CeleryWorker struct {
	// Name is what it calls itself.
	Name  string
	t     testing.TB
	args  []string
	env   []string
	dir   string
	child *child
}

// NeedsCelery skips the test where Celery is not installed.
func NeedsCelery(t testing.TB) {
	t.Helper()
	if exec.Command(python, "-c", "import celery").Run() != nil {
		t.Skip("LEFT OUT: Celery is not installed for " + python + " (Debian package python3-celery)")
	}
}

// NewCeleryWorker starts a worker of the app in a Python file, with two processes. It ends
// with the test.
func NewCeleryWorker(t testing.TB, name, app string, env []string, args ...string) *CeleryWorker {
	t.Helper()
	NeedsCelery(t)
	app, err := filepath.Abs(app)
	if err != nil {
		t.Fatal(err)
	}
	w := &CeleryWorker{Name: name, t: t, dir: t.TempDir()}
	w.env = append(append(os.Environ(), "PYTHONPATH="+filepath.Dir(app), "PYTHONDONTWRITEBYTECODE=1"), env...)
	w.args = append([]string{"-m", "celery", "-A", strings.TrimSuffix(filepath.Base(app), ".py"), "worker", "-n", name, "--concurrency", "2", "--loglevel", "INFO"}, args...)
	w.Start()
	t.Cleanup(w.Kill)
	return w
}

// Start runs the worker again. It returns before the worker is ready.
func (w *CeleryWorker) Start() {
	w.t.Helper()
	cmd := exec.Command(python, w.args...)
	cmd.Dir = w.dir
	cmd.Env = w.env
	var err error
	if w.child, err = startChild(cmd, w.logFile()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *CeleryWorker) logFile() string { return filepath.Join(w.dir, "worker.log") }

// Log is what the worker has printed since it was started.
func (w *CeleryWorker) Log() string {
	text, err := os.ReadFile(w.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Kill ends the worker and its pool at once.
func (w *CeleryWorker) Kill() {
	if w.child != nil {
		w.child.kill()
		w.child = nil
	}
}
