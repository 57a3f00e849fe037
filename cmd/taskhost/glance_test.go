package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openstack is OpenStack's own client against a server, with a home of its own, where it
// keeps schemas.
type openstack struct {
	t    *testing.T
	s    *server
	home string
	args []string
}

// glance runs the command line client, and gives what it says on stdout, and whether it
// ended well; what it says on stderr with it if not.
func (o *openstack) glance(args ...string) (string, bool) {
	o.t.Helper()
	cmd := exec.Command("glance", append(o.args, args...)...)
	return o.run(cmd)
}

func (o *openstack) run(cmd *exec.Cmd) (string, bool) {
	cmd.Env = append(os.Environ(), "HOME="+o.home, "no_proxy=127.0.0.1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out) + stderr.String(), false
	}
	return string(out), true
}

// must is glance that ends well.
func (o *openstack) must(args ...string) string {
	o.t.Helper()
	out, ok := o.glance(args...)
	if !ok {
		o.t.Fatalf("glance %q: %s", args, out)
	}
	return out
}

// property is one of a table of properties.
func property(table, name string) string {
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) == 4 && strings.TrimSpace(cells[1]) == name {
			return strings.TrimSpace(cells[2])
		}
	}
	return ""
}

// TestGlanceClient drives a server with OpenStack's command line client and its library:
// tasks are made, listed, shown and refused, an image is imported, and nothing is left
// processing by a host that was killed.
func TestGlanceClient(t *testing.T) {
	t.Parallel()
	if err := exec.Command("/usr/bin/python3", "-c", "import glanceclient").Run(); err != nil {
		t.Skip("OpenStack's client is not here: Debian's python3-glanceclient")
	}
	images := httptest.NewServer(http.FileServer(http.Dir("../../examples/images")))
	defer images.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(images.URL, "http://"), ":")
	s := newServer(t, "", `glance {
  tasks_api_access = "member"
}
executor "local" {
  plugin = "eventlet-style"
  config {
    scripts = { import = { allow_hosts = ["127.0.0.1"], allow_ports = [`+port+`] } }
  }
}
`)
	s.start()
	secret, said, code := s.cli(nil, "--addr", s.addr(), "token", "create", "ops", "--role", "admin", "-o", "name")
	if code != 0 {
		t.Fatal(said)
	}
	secret = strings.TrimSpace(secret)
	member, said, code := s.cli([]string{"TASKHOST_TOKEN=" + secret}, "--addr", s.addr(), "token", "create", "ann", "--owner", "ann", "-o", "name")
	if code != 0 {
		t.Fatal(said)
	}
	as := func(token string) *openstack {
		return &openstack{t, s, t.TempDir(), []string{"--os-image-url", "http://" + s.addr(), "--os-auth-token", token, "--os-image-api-version", "2"}}
	}
	o, ann := as(secret), as(strings.TrimSpace(member))

	made := o.must("task-create", "--type", "import", "--input",
		`{"import_from":"`+images.URL+`/small.qcow2","import_from_format":"qcow2","image_properties":{"name":"small","disk_format":"qcow2","container_format":"bare"}}`)
	id := property(made, "id")
	if property(made, "status") != "pending" || property(made, "type") != "import" || id == "" {
		t.Fatalf("made:\n%s", made)
	}
	shown := ""
	s.until("the image is imported", func() bool {
		shown = o.must("task-show", id)
		return property(shown, "status") != "pending" && property(shown, "status") != "processing"
	})
	if property(shown, "status") != "success" || !strings.Contains(property(shown, "result"), `"image_id"`) || property(shown, "expires_at") == "" {
		t.Errorf("shown:\n%s", shown)
	}
	failed := o.must("task-create", "--type", "import", "--input", `{"import_from":"`+images.URL+`/none.qcow2"}`)
	s.until("an import of what is not there has failed", func() bool {
		shown = o.must("task-show", property(failed, "id"))
		return property(shown, "status") == "failure"
	})
	if !strings.Contains(property(shown, "message"), "404") {
		t.Errorf("why it failed:\n%s", shown)
	}
	if out, ok := o.glance("task-create", "--type", "import", "--input", `{"import_from":"file:///etc/passwd"}`); ok || !strings.Contains(out, "File based imports are not allowed.") {
		t.Errorf("a file: %s", out)
	}
	if out, ok := o.glance("task-show", "nope"); ok || !strings.Contains(out, "Could not find task nope") {
		t.Errorf("what is not there: %s", out)
	}
	if out := ann.must("task-list"); strings.Contains(out, id) {
		t.Errorf("a member sees another's tasks:\n%s", out)
	}
	if out, ok := ann.glance("task-show", id); ok {
		t.Errorf("a member sees another's task:\n%s", out)
	}
	for range 5 {
		o.must("task-create", "--type", "noop", "--input", "{}")
	}
	if out := o.must("task-list", "--page-size", "2", "--sort-key", "type", "--sort-dir", "asc"); strings.Count(out, " noop ") != 5 || strings.Count(out, " import ") != 2 ||
		strings.Index(out, " noop ") < strings.LastIndex(out, " import ") {
		t.Errorf("a list in pages:\n%s", out)
	}
	if out := o.must("task-list", "--type", "import", "--status", "success"); !strings.Contains(out, id) || strings.Count(out, " import ") != 1 {
		t.Errorf("a filtered list:\n%s", out)
	}
	o.library(secret)

	sleeping := property(o.must("task-create", "--type", "sleep", "--input", `{"seconds":0.2}`), "id")
	s.kill()
	s.start()
	o.args[1] = "http://" + s.addr()
	s.until("a task that a killed host left has ended", func() bool { return property(o.must("task-show", sleeping), "status") == "success" })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// library drives the server with the Python library.
func (o *openstack) library(token string) {
	o.t.Helper()
	script := filepath.Join(o.home, "tasks.py")
	if err := os.WriteFile(script, []byte(`
import json, sys
from glanceclient import Client, exc
c = Client("2", endpoint=sys.argv[1], token=sys.argv[2])
made = c.tasks.create(type="noop", input={})
out = {"made": made["status"], "got": c.tasks.get(made["id"])["type"], "listed": made["id"] in [t["id"] for t in c.tasks.list(page_size=3)]}
for name, do in {"missing": lambda: c.tasks.get("01990f4e-7f3a-7c55-a1b2-0123456789ab"),
                 "limit": lambda: c.http_client.get("/v2/tasks?limit=x"),
                 "deleted": lambda: c.http_client.delete("/v2/tasks/" + made["id"]),
                 "stranger": lambda: list(Client("2", endpoint=sys.argv[1], token="wrong").tasks.list())}.items():
    try:
        do()
        out[name] = "nothing"
    except exc.HTTPException as e:
        out[name] = e.code
print(json.dumps(out))
`), 0o600); err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", script, "http://"+o.s.addr(), token)
	out, ok := o.run(cmd)
	var got struct {
		Made, Got                         string
		Listed                            bool
		Missing, Limit, Deleted, Stranger int
	}
	if !ok || json.Unmarshal([]byte(out), &got) != nil || got.Made != "pending" || got.Got != "noop" || !got.Listed || got.Missing != 404 || got.Limit != 400 || got.Deleted != 405 || got.Stranger != 401 {
		o.t.Errorf("the library: %s", out)
	}
}

// TestBehindKeystone: a trusted proxy says in OpenStack's headers who calls; from nobody else
// they change anything.
func TestBehindKeystone(t *testing.T) {
	s := newServer(t, "", `trusted_proxy {
  addresses = ["127.0.0.1/32"]
  headers   = "openstack"
}
glance {
  tasks_api_access = "member"
}
`+localOnly)
	s.run()
	s.until("the server listens", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.data(), "address"))
		return len(b) > 0
	})
	do := func(path string, headers ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr()+path, strings.NewReader(`{"type":"noop","input":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		var made struct{ Owner string }
		_ = json.NewDecoder(resp.Body).Decode(&made)
		return resp.StatusCode, made.Owner
	}
	confirmed := []string{"X-Identity-Status: Confirmed", "X-User-Id: u1", "X-Roles: member"}
	deadline := time.Now().Add(time.Minute)
	status, owner := 0, ""
	for status, owner = do("/v2/tasks", append(confirmed, "X-Project-Id: p1")...); status == 0 || status == 503; status, owner = do("/v2/tasks", append(confirmed, "X-Project-Id: p1")...) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %d %s", status, owner)
		}
	}
	if status != 201 || owner != "p1" {
		t.Errorf("a member: %d %s", status, owner)
	}
	if status, _ := do("/v2/tasks", confirmed...); status != 403 {
		t.Errorf("without a project: %d", status)
	}
	if status, _ := do("/v2/tasks"); status != 401 {
		t.Errorf("without headers: %d", status)
	}
	if status, _ := do("/v1/tasks", append(confirmed, "X-Project-Id: p1", "X-Identity-Status: Invalid")...); status != 401 {
		t.Errorf("not confirmed: %d", status)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
