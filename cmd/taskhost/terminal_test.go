package main

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/taskhost/taskhost/host/api"
)

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// onTerminal runs the command line on a terminal of 80 columns and gives what it showed,
// less colors.
func (s *server) onTerminal(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.bin, append(args, "--addr", s.addr())...)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	io.Copy(&out, f) // it ends with an error when the last of the terminal is closed
	cmd.Wait()       // an exit code is part of what some of them say
	return strings.ReplaceAll(escapes.ReplaceAllString(out.String(), ""), "\r\n", "\n")
}

// TestTablesFitTheTerminal: 80 columns suffice for all that is shown in columns, and
// nothing of it is left out for that.
func TestTablesFitTheTerminal(t *testing.T) {
	s := newServer(t, "", localOnly+fleet("")+"executor \"a-rather-long-name-for-an-executor\" { plugin = \"no-such-thing\" }\n")
	w := s.worker("worker-1.example.org", "join = \""+s.data()+"\"")
	s.start()
	w.start()
	s.known()
	failed := s.submit(`{"type":"http","input":{"url":"http://localhost/` + strings.Repeat("long/", 30) + `"},"max_attempts":1,"labels":{"team":"one","cost-center":"12345678901234567890"}}`)
	s.submit(`{"type":"sleep","input":{"seconds":600}}`)
	s.submit(`{"type":"journal","input":{},"route":{"zone":"a-zone-that-no-worker-has"}}`)
	s.submit(`{"type":"noop","run_at":"2999-01-01T00:00:00Z"}`)
	s.submit(`{"type":"sleep","input":{"seconds":600},"exclusive":["a-resource/with-a-rather-long-name-that-many-want-to-have"]}`)
	group := s.post("/v1/groups", `{"name":"a-group-with-a-rather-long-name","labels":{"cost-center":"12345678901234567890"}}`)
	s.post("/v1/schedules", `{"name":"every-first-monday-of-the-quarter","cron":"30 4 1-7 1,4,7,10 1","time_zone":"America/Argentina/Buenos_Aires","task":{"type":"noop"}}`)
	s.until("the task has failed, and the fleet's worker is known", func() bool {
		var now api.Status
		s.get("/v1/status", &now)
		return len(now.Failed) == 1 && len(now.Executors) == 3 && len(now.Executors[1].Nodes) == 1
	})
	config := filepath.Join(s.dir, "taskhost.hcl")
	for _, c := range []struct {
		args string
		want []string // words of what is long
	}{
		{"status", []string{"no-such-thing", "a-zone-that-no-worker-has", "later", failed[:18], "worker-1.example.org"}},
		{"executor list", []string{"eventlet-style", "no-such-thing", "noop, sleep, sum"}},
		{"executor get a-rather-long-name-for-an-executor", []string{"no-such-thing"}},
		{"executor get fleet", []string{"worker-1.example.org"}},
		{"worker list", []string{"worker-1.example.org", "LAST SEEN", "TYPES"}},
		{"worker get worker-1.example.org", []string{"journal"}},
		{"type list", []string{"AVAILABLE", "WAITING", "Adds up an array of numbers"}},
		{"type get http", []string{`"url"`}},
		{"task list", []string{failed[:18], "pending (executor)", "pending (scheduled)"}},
		{"task get " + failed, []string{failed, "long/long", "Failures", "1 of 1", "cost-center=12345678901234567890"}},
		{"task history " + failed, []string{"executor local", "failed"}},
		{"group list", []string{"a-group-with-a-rather-lo", "CANCELED"}},
		{"group get " + group, []string{group, "cost-center=12345678901234567890"}},
		{"schedule list", []string{"every-first-monday-of-the-quarter", "30 4 1-7", "1,4,7,10 1", "SKIPPED"}},
		{"schedule get every-first-monday-of-the-quarter", []string{"America/Argentina/Buenos_Aires", "Ahead"}},
		{"schedule preview every-first-monday-of-the-quarter", []string{"04:30:00", "UTC"}},
		{"resource list", []string{"HOLDER", "exclusive"}},
		{"resource get a-resource/with-a-rather-long-name-that-many-want-to-have", []string{"exclusive, since"}},
		{"plugin list --config " + config, []string{"built in", "hello"}},
		{"config show --config " + config, []string{"no-such-thing"}},
		{"store check --config " + config, []string{"schema"}},
		{"version", []string{"taskhost"}},
	} {
		out := s.onTerminal(strings.Fields(c.args)...)
		for line := range strings.Lines(out) {
			if line = strings.TrimSuffix(line, "\n"); textWidth(line) > 80 && !strings.HasPrefix(line, "taskhost: ") && !strings.HasPrefix(line, "warning: ") {
				t.Errorf("%s: %d columns: %q", c.args, textWidth(line), line)
			}
		}
		said := strings.Join(strings.Fields(out), " ")
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s does not show %q:\n%s", c.args, want, out)
			}
		}
	}
}

// A bar stays in its line, however much the script has to say.
func TestBarFitsTheTerminal(t *testing.T) {
	f, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	shown := &output{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(shown, f)
	}()
	d := newDisplay(tty)
	more := &api.TaskProgress{Total: 9876543210, Message: "copying 漢字 " + strings.Repeat("a very long message ", 10)}
	for end := time.Now().Add(20 * time.Second); strings.Count(shown.String(), "…") < 2 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		more.Done += 12345678 // it is drawn ten times a second at most
		d.progress(more)
	}
	d.close()
	tty.Close()
	<-ended
	out := shown.String()
	if !strings.Contains(out, "copying 漢字 a very") || strings.Count(out, "…") < 2 {
		t.Errorf("%.500q", out)
	}
	for part := range strings.FieldsFuncSeq(escapes.ReplaceAllString(out, ""), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if textWidth(part) > 80 {
			t.Fatalf("%d columns: %q", textWidth(part), part)
		}
	}
}
