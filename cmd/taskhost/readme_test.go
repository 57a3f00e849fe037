package main

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

// notRun are the commands of READMEs that are not run here, with why.
var notRun = map[string]string{"make test": "it is what runs this test"}

// TestReadme follows README.md and those of the examples as a person would who copies each
// block, in order, on a fresh clone of this tree with what is changed in it: a step whose
// last command serves has a terminal of its own, until the text says Ctrl-C or ends; the
// others go into one shell. Every command has to succeed, print what is shown, and leave
// nothing that git would see.
//
// The addresses in READMEs are fixed, and somebody may be at work on them here: in what is
// run each is moved to a free port, and the default by the environment. A network namespace
// would do without, but may not be made everywhere, and hides what steps fetch.
func TestReadme(t *testing.T) {
	t.Parallel()
	files := tracked(t, "../..")
	var docs []string
	for _, f := range files {
		if f == "README.md" || strings.HasPrefix(f, "examples/") && filepath.Base(f) == "README.md" {
			docs = append(docs, f)
		}
	}
	slices.SortFunc(docs, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	c := newClone(t, "../..", files)
	for _, doc := range docs {
		t.Run(doc, func(t *testing.T) { c.follow(t, doc) })
	}
	if left := git(t, c.dir, "status", "--porcelain"); left != "" {
		t.Errorf("the steps leave what git does not ignore:\n%s", left)
	}
}

// tracked are the files of a clone: what git tracks, and what is new and not ignored.
func tracked(t *testing.T, top string) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(top, ".git")); err != nil {
		t.Skip("not a clone: git does not say what belongs to the tree")
	}
	out := git(t, top, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=nobody", "-c", "user.email=nobody@localhost"}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, &stderr)
	}
	return string(out)
}

// clone is a fresh clone, and what its READMEs' steps need to be run on this machine.
type clone struct {
	dir   string
	env   []string
	moved map[string]string // ports, as they stand in the READMEs and as they are here
}

const rabbitServer = "/usr/lib/rabbitmq/bin/rabbitmq-server"

var address = regexp.MustCompile(`\b(127\.0\.0\.1|localhost):(\d+)\b`)

func newClone(t *testing.T, from string, files []string) *clone {
	t.Helper()
	top, err := os.MkdirTemp("", "taskhost-clone-") // short: sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	c := &clone{dir: filepath.Join(top, "taskhost"), moved: map[string]string{}}
	if _, err := os.Stat(rabbitServer); err == nil {
		_, port, err := net.SplitHostPort(queuetest.SharedRabbitMQ(t).Address)
		if err != nil {
			t.Fatal(err)
		}
		c.moved["5672"] = port // the machine's own RabbitMQ, to whom follows a README
	}
	for _, f := range files {
		info, err := os.Stat(filepath.Join(from, f))
		if os.IsNotExist(err) { // removed, and not yet so in a commit
			continue
		}
		var data []byte
		if err == nil {
			data, err = os.ReadFile(filepath.Join(from, f))
		}
		if ext := filepath.Ext(f); ext == ".hcl" || ext == ".py" { // what is in /tmp may be somebody's, too
			data = []byte(strings.ReplaceAll(c.here(t, string(data)), `"/tmp/`, `"`+top+`/tmpdir/`))
		}
		to := filepath.Join(c.dir, f)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	git(t, c.dir, "init", "-q")
	git(t, c.dir, "add", "--all")
	git(t, c.dir, "commit", "-q", "-m", "the tree under test")
	c.env = c.environment(t, top)
	return c
}

// environment is a newcomer's: a home and a folder for temporary files with nothing in
// them, nothing that speaks of taskhost or of the make that may run this. What was built
// and fetched for Go before is there.
func (c *clone) environment(t *testing.T, top string) []string {
	t.Helper()
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return regexp.MustCompile(`^(TASKHOST_|XDG_|MAKE|MFLAGS)`).MatchString(kv)
	})
	for _, name := range []string{"HOME", "TMPDIR"} {
		dir := filepath.Join(top, strings.ToLower(name))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+dir)
	}
	for _, name := range []string{"GOCACHE", "GOENV", "GOMODCACHE", "GOPATH"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return append(env, "TASKHOST_ADDR="+c.here(t, config.DefaultListen))
}

// here is a text with the addresses that they have on this machine.
func (c *clone) here(t *testing.T, text string) string {
	return address.ReplaceAllStringFunc(text, func(a string) string {
		host, port, _ := net.SplitHostPort(a)
		if port == "0" {
			return a
		}
		if c.moved[port] == "" {
			c.moved[port] = steadyPort(t)
		}
		return net.JoinHostPort(host, c.moved[port])
	})
}

// steadyPort is one that nobody gets who asks for any, so that it stays free while no server
// of a README has it.
func steadyPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(15000 + rand.IntN(15000))
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// asWritten is a text with the addresses of the READMEs.
func (c *clone) asWritten(text string) string {
	return address.ReplaceAllStringFunc(text, func(a string) string {
		host, port, _ := net.SplitHostPort(a)
		for written, here := range c.moved {
			if here == port {
				return net.JoinHostPort(host, written)
			}
		}
		return a
	})
}

// reader is somebody who follows one README.
type reader struct {
	*clone
	t         *testing.T
	shell     *shell
	terminals []*terminal
	addr      string // of the server that was started last
}

func (c *clone) follow(t *testing.T, doc string) {
	text, err := os.ReadFile(filepath.Join(c.dir, doc))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{clone: c, t: t, shell: newShell(t, c.dir, c.env)}
	defer r.stopAll() // also where a step fails
	for _, s := range stepsOf(t, doc, string(text)) {
		if s.asksToStop() {
			r.stopAll()
		}
		switch {
		case s.file != "":
			if data, err := os.ReadFile(filepath.Join(c.dir, s.file)); err != nil || string(data) != s.text {
				t.Errorf("%s: this is not %s (%v)", s.at, s.file, err)
			}
		case s.lang == "hcl":
			r.validate(s)
		case s.lang == "sh":
			if !r.take(s) {
				return
			}
		}
	}
}

// stopAll is Ctrl-C in every terminal, the last first.
func (r *reader) stopAll() {
	r.t.Helper()
	for _, x := range slices.Backward(r.terminals) {
		if err := x.interrupt(); err != nil {
			r.t.Errorf("%s: %v", x.at, err)
		}
		if r.t.Failed() {
			r.t.Logf("%s:\n%s", x.at, x.output)
		}
	}
	r.terminals = nil
}

// validate has the program judge a config that is shown.
func (r *reader) validate(s step) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "shown.hcl")
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.shell.run(s.at, "bin/taskhost config validate --config "+file)
}

// take does what a step of commands says. It is false where the machine lacks what the
// rest of the README needs.
func (r *reader) take(s step) bool {
	r.t.Helper()
	serves := s.server(r.t)
	if why := r.lacks(s); why != "" {
		r.t.Logf("%s is left out: %s", s.at, why)
		return !serves
	}
	for command, why := range notRun {
		line := regexp.MustCompile(`(?m)^` + command + `\b.*$`)
		if line.MatchString(s.text) {
			r.t.Logf("%s: %s is not run: %s", s.at, command, why)
			s.text = line.ReplaceAllString(s.text, ":")
		}
	}
	if serves {
		r.serve(s)
		return true
	}
	out := r.asWritten(r.shell.run(s.at, r.here(r.t, s.text)))
	if s.shown != "" && !isShown(s.shown, out) {
		r.t.Errorf("%s shows\n%s\nand it prints\n%s", s.at, s.shown, out)
	}
	return true
}

// lacks says what the step needs that is not on every machine, and not here.
func (r *reader) lacks(s step) string {
	for _, need := range []struct{ word, probe, pkg string }{
		{"curl ", "command -v curl", "curl"},
		{"qemu-img", "command -v qemu-img", "qemu-utils"},
		{"debugfs", "command -v /sbin/debugfs", "e2fsprogs"},
		{"celery", "/usr/bin/python3 -c 'import celery' && test -x " + rabbitServer, "python3-celery, rabbitmq-server"},
		{"shout.py", "/usr/bin/python3 -c 'import cryptography, google.protobuf, grpc'", "python3-grpcio, python3-protobuf, python3-cryptography"},
	} {
		cmd := exec.Command("bash", "-c", need.probe)
		cmd.Env = r.env
		if strings.Contains(s.text, need.word) && cmd.Run() != nil {
			return need.word + " needs Debian's " + need.pkg
		}
	}
	return ""
}

var (
	configFlag   = regexp.MustCompile(`--config[ =](\S+)`)
	ownStore     = regexp.MustCompile(`(?m)^data_dir\b|--data-dir\b|^make run\b|taskhost dev\b`)
	celeryServes = regexp.MustCompile(`-m celery .* worker\b`)
	ownListen    = regexp.MustCompile(`(?m)^listen\s*=\s*"(.*)"`)
)

// serve starts the step in a terminal of its own, and goes on once what it serves is there.
func (r *reader) serve(s step) {
	r.t.Helper()
	says := s.text
	for _, m := range configFlag.FindAllStringSubmatch(s.text, -1) {
		data, err := fs.ReadFile(os.DirFS(r.shell.cwd), m[1])
		if err != nil && !strings.Contains(s.text, m[1]+" <<") && !strings.Contains(s.text, m[1]+"<<") {
			r.t.Fatalf("%s: %v", s.at, err)
		}
		says += string(data)
	}
	isWorker := celeryServes.MatchString(says)
	if !isWorker && !ownStore.MatchString(says) {
		r.t.Fatalf("%s: this would work on the store of the machine or of the user: name a data_dir", s.at)
	}
	env := r.env
	addr := "" // a worker has none
	if own := ownListen.FindStringSubmatch(says); own != nil {
		addr = r.here(r.t, own[1])
	} else if !isWorker && !strings.Contains(s.text, "taskhost worker") {
		addr = r.here(r.t, config.DefaultListen)
		env = append(slices.Clone(env), "TASKHOST_LISTEN="+addr)
	}
	for _, x := range r.terminals {
		if addr != "" && x.addr == addr {
			r.t.Fatalf("%s: the server of %s is still there, at the same address: say before that it is stopped with Ctrl-C, or give this one an address of its own", s.at, x.at)
		}
	}
	x := newTerminal(r.t, s.at, r.shell.cwd, env, r.here(r.t, s.text))
	x.addr = addr
	r.terminals = append(r.terminals, x)
	if addr != "" {
		r.addr = addr
	}
	r.until(x, "what it starts is ready", r.ready)
	if s.shown != "" {
		r.until(x, "it prints\n"+s.shown, func() bool { return isShown(s.shown, r.asWritten(x.output.String())) })
	}
}

// ready says whether every executor has come up, and all workers that were started are known.
func (r *reader) ready() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.New(r.addr, "")
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	executors, err := c.Executors(ctx)
	if err != nil || slices.ContainsFunc(executors, func(x api.Executor) bool { return x.State == task.ExecutorStarting }) {
		return false
	}
	workers, err := c.Workers(ctx)
	missing := 0
	for _, x := range r.terminals {
		if x.addr == "" {
			missing++
		}
	}
	for _, w := range workers {
		if w.State == api.WorkerReady {
			missing--
		}
	}
	return err == nil && missing <= 0
}

// until looks again and again, for another process's state has no channel to wait on.
func (r *reader) until(x *terminal, what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(stepTime); !ok(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-x.exited:
			r.t.Fatalf("%s ended:\n%s", x.at, x.output)
		default:
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s: still not so after %v: %s\n%s", x.at, stepTime, what, x.output)
		}
	}
}
