package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const whole = `
listen        = "127.0.0.1:7171"
data_dir      = "/srv/taskhost"
plugin_dir    = "/srv/plugins"
log_level     = "debug"
log_format    = "json"
drain_timeout = "1m"
cancel_grace  = "3s"
max_log_lines = 500
max_log_bytes = "64KiB"
plugin_env    = ["HTTPS_PROXY", "AWS_*"]
allow_writable_plugins = true
anonymous     = "loopback"
audit_retain  = "24h"

tls {
  cert         = "/etc/taskhost/tls.crt"
  key          = "/etc/taskhost/tls.key"
  client_ca    = "/etc/taskhost/ca.crt"
  client_role  = "viewer"
  client_roles = { ops = "admin" }
}
glance {
  tasks_api_access  = "member"
  task_time_to_live = 24
  allowed_schemes   = ["https"]
  disallowed_hosts  = ["bad.example.org"]
}
trusted_proxy {
  addresses    = ["127.0.0.1", "10.0.0.5/24"]
  certificates = ["proxy"]
  headers      = "openstack"
}

executor "local" {
  plugin = "eventlet-style"
  slots  = 1000
  config {
    scripts = {
      import = { images_dir = "/srv/images" }
      http   = { allow_hosts = ["hooks.example.org"] }
    }
  }
}

executor "images" {
  plugin       = "import"
  sha256       = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
  slots        = 4
  on_host_exit = "die"
  config {
    allow_ports = [443, 8443]
    ratio       = 0.5
    quiet       = true
    nothing     = null
  }
}

executor "fleet" {
  plugin = "remote-queue"
  config {
    url   = "nats://me:hunter2@10.0.0.5:4222"
    token = "abc"
  }
}

task_type "import" {
  executor     = "fleet"
  timeout      = "1h"
  max_attempts = 3
  max_lost     = 0
  retain       = "0s"
  queue_limit  = 10000
  max_input    = "1MiB"
  priority     = -5
  deadline     = "3h"
  max_result   = "2MiB"
  concurrency  = [{ max = 10 }, { max = 1, by = "label:tenant" }]
  rate         = { per_second = 2.5, burst = 4 }
  route        = { zone = "b" }
  min_version  = "1.4.0"
  backoff      = "2s"
  backoff_max  = "1m"
}
task_type "noop" {
  max_input = 4096
}
`

func TestWholeFile(t *testing.T) {
	c, err := Parse("taskhost.hcl", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	zero, never := 0, time.Duration(0)
	want := &Config{
		MaxLogLines: 500, MaxLogBytes: 64 << 10,
		Listen: "127.0.0.1:7171", DrainTimeout: time.Minute, CancelGrace: 3 * time.Second, Anonymous: "loopback", AuditRetain: 24 * time.Hour,
		TLS: TLS{Cert: "/etc/taskhost/tls.crt", Key: "/etc/taskhost/tls.key", ClientCA: "/etc/taskhost/ca.crt", ClientRole: "viewer",
			ClientRoles: map[string]string{"ops": "admin"}},
		Glance:       Glance{TasksAPIAccess: "member", TaskTimeToLive: 24, AllowedSchemes: []string{"https"}, DisallowedHosts: []string{"bad.example.org"}},
		TrustedProxy: TrustedProxy{Addresses: []string{"127.0.0.1/32", "10.0.0.0/24"}, Certificates: []string{"proxy"}, Headers: "openstack"},
		Common: Common{DataDir: "/srv/taskhost", PluginDir: "/srv/plugins", LogLevel: "debug", LogFormat: "json",
			PluginEnv: []string{"HTTPS_PROXY", "AWS_*"}, AllowWritablePlugins: true, source: c.source, origins: c.origins,
			Executors: []task.ExecutorConfig{
				{Name: "local", Plugin: "eventlet-style", Slots: 1000, OnHostExit: "die",
					Config: []byte(`{"scripts":{"http":{"allow_hosts":["hooks.example.org"]},"import":{"images_dir":"/srv/images"}}}`)},
				{Name: "images", Plugin: "import", SHA256: strings.Repeat("a", 64), Slots: 4, OnHostExit: "die",
					Config: []byte(`{"allow_ports":[443,8443],"nothing":null,"quiet":true,"ratio":0.5}`)},
				{Name: "fleet", Plugin: "remote-queue", OnHostExit: "die",
					Config: []byte(`{"token":"abc","url":"nats://me:hunter2@10.0.0.5:4222"}`)},
			}},
		Types: []TaskType{
			{Name: "import", TypeConfig: task.TypeConfig{Executor: "fleet", Timeout: time.Hour, MaxAttempts: 3, MaxLost: &zero, Retain: &never, QueueLimit: 10000,
				MaxInput: 1 << 20, MaxResult: 2 << 20, MinVersion: "1.4.0", Priority: -5, Deadline: 3 * time.Hour,
				Concurrency: []task.Concurrency{{Max: 10}, {Max: 1, By: "label:tenant"}}, Rate: &task.Rate{PerSecond: 2.5, Burst: 4}, Route: map[string]string{"zone": "b"}, Backoff: task.Backoff{Initial: 2 * time.Second, Max: time.Minute}}},
			{Name: "noop", TypeConfig: task.TypeConfig{MaxInput: 4096}},
		},
		values: c.values,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("read\n%+v\nwant\n%+v", c, want)
	}
}

func TestNoFile(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	c, err := Load("", nil, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:7070" || !strings.HasSuffix(c.DataDir, "taskhost") || !strings.HasSuffix(c.PluginDir, "/plugins") {
		t.Errorf("defaults %+v", c)
	}
	if os.Geteuid() == 0 && c.DataDir != "/var/lib/taskhost" || os.Geteuid() != 0 && c.DataDir != "/state/taskhost" {
		t.Errorf("data_dir %s", c.DataDir)
	}
	if len(c.Executors) != 1 || c.Executors[0].Name != "local" || c.Executors[0].Plugin != "eventlet-style" {
		t.Errorf("executors %+v", c.Executors)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.hcl"), nil, Flags{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// The executor that stands in where no block does can be named, too.
func TestTaskTypeOnStandIn(t *testing.T) {
	if _, err := Parse("f.hcl", []byte(`task_type "sum" { executor = "local" }`)); err != nil {
		t.Error(err)
	}
}

// File < environment < flag, and each value says which it is from.
func TestOrigins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.hcl")
	src := "listen = \"127.0.0.1:1\"\ndata_dir = \"/file\"\nplugin_dir = \"/file\"\n" + `executor "x" {
  plugin = "p"
  config {
    password = "hunter2"
    urls     = ["nats://me:hunter2@a:1", "http://b/?api_token=hunter2&x=1"]
    deep     = { secret_key = "hunter2", n = 1 }
    odd      = "nats://me:hunter%2@a/b@c"
  }
}
`
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, []string{"TASKHOST_DATA_DIR=/env", "TASKHOST_PLUGIN_DIR=/env", "TASKHOST_LOG_LEVEL=", "TASKHOST_LOG_FORMAT=json", "odd"},
		Flags{PluginDir: "/flag"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Setting{}
	var keys []string
	for _, s := range c.Show() {
		got[s.Key] = s
		keys = append(keys, s.Key)
		if strings.Contains(s.Value, "hunter") {
			t.Errorf("a secret is shown: %+v", s)
		}
	}
	if !slices.IsSorted(keys) {
		t.Errorf("not sorted: %q", keys)
	}
	for _, want := range []Setting{
		{"listen", "127.0.0.1:1", path + ":1"},
		{"data_dir", "/env", "environment TASKHOST_DATA_DIR"},
		{"plugin_dir", "/flag", "flag --plugin-dir"},
		{"log_level", "info", "default"},
		{"log_format", "json", "environment TASKHOST_LOG_FORMAT"},
		{"executor.x.plugin", "p", path + ":5"},
		{"executor.x.config.password", "(secret)", path + ":7"},
		{"executor.x.config.urls", `["nats://(secret)@a:1","http://b/?api_token=(secret)&x=1"]`, path + ":8"},
		{"executor.x.config.deep", `{"n":1,"secret_key":"(secret)"}`, path + ":9"},
	} {
		if got[want.Key] != want {
			t.Errorf("%+v, want %+v", got[want.Key], want)
		}
	}
	if c.DataDir != "/env" || c.PluginDir != "/flag" || c.LogFormat != "json" {
		t.Errorf("in force: %+v", c)
	}
}

// Each fault has its line, its column, and says what to do.
func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		src  string
		want []string // line:column and words of the fault, one after another
	}{
		"typo":               {"listne = \"x\"", []string{"1:1 listne", `Did you mean "listen"?`}},
		"typo in a block":    {"executor \"a\" {\n  plugin = \"p\"\n  slotz = 1\n}", []string{"3:3 slotz", `"slots"`}},
		"unknown block":      {"executer \"a\" {\n}", []string{"1:1 executer", `"executor"`}},
		"no name":            {"executor {\n plugin = \"p\"\n}", []string{"1:10 name"}},
		"bad name":           {"executor \"a/b\" {\n plugin = \"p\"\n}", []string{"1:10 1 to 63 letters"}},
		"no plugin":          {"executor \"a\" {\n}", []string{"1:1 Set plugin ="}},
		"plugin no text":     {"executor \"a\" {\n plugin = 3\n}", []string{"2:11 string in quotes"}},
		"empty":              {"data_dir = \"\"", []string{"1:12 must not be empty"}},
		"two of a name":      {"executor \"a\" {\n plugin = \"p\"\n}\nexecutor \"a\" {\n plugin = \"p\"\n}", []string{`4:1 second executor "a"`, "f.hcl:1"}},
		"two types":          {"task_type \"a\" {\n}\ntask_type \"a\" {\n}", []string{`3:1 second task_type "a"`}},
		"two configs":        {"executor \"a\" {\n plugin = \"p\"\n config {\n }\n config {\n }\n}", []string{"5:2 second config"}},
		"block in config":    {"executor \"a\" {\n plugin = \"p\"\n config {\n  x {\n  }\n }\n}", []string{"4:3 not allowed"}},
		"unknown executor":   {"executor \"a\" {\n plugin = \"p\"\n}\nexecutor \"b\" {\n plugin = \"p\"\n}\ntask_type \"t\" {\n executor = \"c\"\n}", []string{`8:13 named "c"`, `"a", "b"`}},
		"typo in a name":     {"executor \"fleet\" {\n plugin = \"p\"\n}\ntask_type \"t\" {\n executor = \"fleat\"\n}", []string{`5:13 named "fleat"`, `Did you mean "fleet"?`}},
		"slots":              {"executor \"a\" {\n plugin = \"p\"\n slots = 0\n}", []string{"3:10 whole number from 1"}},
		"half a slot":        {"executor \"a\" {\n plugin = \"p\"\n slots = 1.5\n}", []string{"3:10 whole number"}},
		"sum":                {"executor \"a\" {\n plugin = \"p\"\n sha256 = \"abc\"\n}", []string{"3:11 64 hexadecimal digits"}},
		"survive":            {"executor \"a\" {\n plugin = \"p\"\n on_host_exit = \"survive\"\n}", []string{"3:17 not supported yet"}},
		"linger":             {"executor \"a\" {\n plugin = \"p\"\n on_host_exit = \"linger\"\n}", []string{"3:17 one of die"}},
		"duration":           {"task_type \"t\" {\n timeout = \"1 hour\"\n}", []string{`2:12 such as "30s"`}},
		"a number of what":   {"drain_timeout = 30", []string{"1:17 duration"}},
		"no time":            {"task_type \"t\" {\n timeout = \"0s\"\n}", []string{"2:12 more than nothing"}},
		"negative":           {"task_type \"t\" {\n retain = \"-1h\"\n}", []string{"2:11 duration"}},
		"size":               {"task_type \"t\" {\n max_input = \"1MB\"\n}", []string{`2:14 "512KiB"`}},
		"limits no list":     {"task_type \"t\" {\n concurrency = 3\n}", []string{"2:16 is a list of limits"}},
		"no version":         {"task_type \"t\" {\n min_version = \"new\"\n}", []string{`2:16 is a semantic version such as "1.4.0"`}},
		"a limit of none":    {"task_type \"t\" {\n concurrency = [{ max = 0 }]\n}", []string{"2:16 number 1, that has a value max that is a whole number from 1"}},
		"a limit by nothing": {"task_type \"t\" {\n concurrency = [{ max = 1, by = \"tenant\" }]\n}", []string{"2:16 label: and a label's name"}},
		"a limit's typo":     {"task_type \"t\" {\n concurrency = [{ most = 1 }]\n}", []string{`2:16 named "most"; there are by and max`}},
		"no rate":            {"task_type \"t\" {\n rate = { burst = 2 }\n}", []string{"2:9 lacks per_second"}},
		"a rate of nothing":  {"task_type \"t\" {\n rate = { per_second = 0 }\n}", []string{"2:9 per_second that is not between"}},
		"huge size":          {"task_type \"t\" {\n max_input = \"999999999999GiB\"\n}", []string{"2:14 at most 2GiB"}},
		"max_lost":           {"task_type \"t\" {\n max_lost = -1\n}", []string{"2:13 from 0"}},
		"route":              {"task_type \"t\" {\n route = { zone = 1 }\n}", []string{"2:10 set of strings"}},
		"type name":          {"task_type \"1 a\" {\n}", []string{"1:11 1 to 100 letters"}},
		"level":              {"log_level = \"loud\"", []string{"1:13 trace, debug"}},
		"truth":              {"allow_writable_plugins = \"yes\"", []string{"1:26 true or false"}},
		"env":                {"plugin_env = \"PATH\"", []string{"1:14 list of strings"}},
		"listen":             {"listen = \"7070\"", []string{`1:10 host:port, such as "127.0.0.1:7070"`}},
		"tls without a key":  {"tls {\n cert = \"c\"\n}", []string{"1:1 TLS needs cert and key", "key ="}},
		"two tls":            {"tls {\n cert = \"c\"\n key = \"k\"\n}\ntls {\n}", []string{"5:1 A second tls block"}},
		"role for nobody":    {"tls {\n cert = \"c\"\n key = \"k\"\n client_role = \"viewer\"\n}", []string{"4:2 No client certificates are taken"}},
		"no role":            {"tls {\n cert = \"c\"\n key = \"k\"\n client_ca = \"a\"\n client_role = \"root\"\n}", []string{"is one of viewer, member, operator, admin"}},
		"no role of a name":  {"tls {\n cert = \"c\"\n key = \"k\"\n client_ca = \"a\"\n client_roles = { ops = \"root\" }\n}", []string{"has a role that is none of"}},
		"trusts nobody":      {"trusted_proxy {\n}", []string{"1:1 Nobody is trusted"}},
		"no address":         {"trusted_proxy {\n addresses = [\"proxy\"]\n}", []string{"has \"proxy\": want an address or a network"}},
		"unchecked":          {"trusted_proxy {\n certificates = [\"proxy\"]\n}", []string{"2:2 No client certificates are taken"}},
		"other headers":      {"trusted_proxy {\n addresses = [\"127.0.0.1\"]\n headers = \"x\"\n}", []string{"is one of openstack"}},
		"two glance":         {"glance {\n}\nglance {\n}", []string{"3:1 A second glance block"}},
		"hosts both ways":    {"glance {\n allowed_hosts = [\"a\"]\n disallowed_hosts = [\"b\"]\n}", []string{"2:2 Allowed and disallowed hosts"}},
		"who":                {"glance {\n tasks_api_access = \"everyone\"\n}", []string{"is one of admin, member"}},
		"anonymous":          {"anonymous = \"everyone\"", []string{"is one of none, loopback"}},
		"variable":           {"data_dir = home", []string{"1:12 Variables not allowed"}},
		"function":           {"data_dir = env(\"HOME\")", []string{"1:12 not allowed"}},
		"syntax":             {"executor \"a\" {\n  plugin = \n}", []string{"2:12 expression"}},
		"big number":         {"executor \"a\" {\n plugin = \"p\"\n config {\n  x = 1e999999999\n }\n}", []string{"4:7 exponent is not between"}},
		"small number":       {"executor \"a\" {\n plugin = \"p\"\n config {\n  x = [1e-99999999]\n }\n}", []string{"4:8 exponent is not between"}},
		"long number":        {"executor \"a\" {\n plugin = \"p\"\n slots = " + strings.Repeat("7", 100_000) + "\n}", []string{"3:10 a number of 100000 bytes"}},
		"big product":        {"executor \"a\" {\n plugin = \"p\"\n config {\n  x = 1e300 * 1e300\n }\n}", []string{"4:7 out of range"}},
		"deep":               {"x = " + strings.Repeat("[", 100_000), []string{"1:505 is one not closed?"}},
		"deep by operators":  {"x = " + strings.Repeat("!", 100_000), []string{"1:505 operators"}},
		"too large":          {strings.Repeat("# a comment\n", 100_000), []string{"0:0 1048576 at the most"}},
		"all of them":        {"listne = 1\nlog_level = 2\nexecutor \"a\" {\n}\ntask_type \"t\" {\n executor = \"b\"\n timeout = 3\n}", []string{"1:1 listne", "2:13 quotes", "3:1 plugin", "6:13 named", "7:12 duration"}},
		"no address at all":  {"listen = null", []string{"1:10 string in quotes"}},
		"null where a count": {"executor \"a\" {\n plugin = \"p\"\n slots = null\n}", []string{"3:10 whole number"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.hcl", []byte(test.src))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want a *Error", err)
			}
			var b strings.Builder
			for _, p := range e.Places {
				fmt.Fprintf(&b, "%d:%d %s: %s\n", p.Line, p.Column, p.Summary, p.Detail)
			}
			all := b.String()
			for _, want := range test.want {
				words := want
				if place, rest, ok := strings.Cut(want, " "); ok && strings.Contains(place, ":") && place[0] >= '0' && place[0] <= '9' {
					i := strings.Index(all, place+" ")
					if i < 0 {
						t.Fatalf("no fault at %s in\n%s", place, b.String())
					}
					all, words = all[i:], rest
				}
				if !strings.Contains(all, words) {
					t.Errorf("%q is not said, or not there, in\n%s", words, b.String())
				}
			}
		})
	}
}

// The whole text, as the operator sees it.
func TestErrorText(t *testing.T) {
	_, err := Parse("taskhost.hcl", []byte("data_dir = \"/x\"\nlistne   = \"127.0.0.1:1\"\nlog_level = \"loud\"\n"))
	want := `taskhost.hcl has 2 errors

Error: Unsupported argument

  on taskhost.hcl line 2:
   2: listne   = "127.0.0.1:1"

An argument named "listne" is not expected here. Did you mean "listen"?

Error: Not a value for log_level

  on taskhost.hcl line 3:
   3: log_level = "loud"

Log_level is one of trace, debug, info, warn, error.`
	if err == nil || err.Error() != want {
		t.Errorf("the operator reads\n%v\nwant\n%s", err, want)
	}
}

// What environment and flags set is checked as well, and named by where it is from.
func TestOutsideFaults(t *testing.T) {
	for _, test := range []struct {
		env  string
		f    Flags
		want []string
	}{
		{"TASKHOST_LISTEN=7070", Flags{}, []string{"environment TASKHOST_LISTEN", "host:port"}},
		{"TASKHOST_LOG_LEVEL=loud", Flags{}, []string{"environment TASKHOST_LOG_LEVEL", "trace, debug"}},
		{"TASKHOST_LOG_FORMAT=xml", Flags{}, []string{"environment TASKHOST_LOG_FORMAT", "text, json"}},
	} {
		_, err := Load("", []string{test.env}, test.f)
		if err == nil {
			t.Errorf("%+v was accepted", test)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
}

func TestWorker(t *testing.T) {
	w, err := LoadWorker("worker.hcl", []byte(`
name   = "w1"
labels = { zone = "b" }
queue {
  url   = "nats://10.0.0.1:4222"
  token = "t"
}
executor "local" {
  plugin = "eventlet-style"
}
`))
	if err != nil {
		t.Fatal(err)
	}
	if w.Name != "w1" || w.Labels["zone"] != "b" || string(w.Queue) != `{"token":"t","url":"nats://10.0.0.1:4222"}` || len(w.Executors) != 1 {
		t.Errorf("worker %+v", w)
	}
	for src, want := range map[string]string{
		"labels = { \"a=b\" = \"c\" }\n": "a label named \"a=b\"",
		"":                               "One queue block",
		"name = \"w\"\nqueue {\n}\n":     "needs an executor",
		"queue {\n}\nqueue {\n}\n":       "One queue block",
		"task_type \"t\" {\n}\n":         "task_type",
		"listen = \"127.0.0.1:1\"\n":     "listen",
		"name = \"w\"\nqueue \"x\" {\n}": "Extraneous label",
	} {
		if _, err := LoadWorker("w.hcl", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not say %q", src, err, want)
		}
	}
}

// Whatever stands in a file, it is read or refused, and no secret of it is shown.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("executor \"a\" { plugin = \"${1 + 1}\" }"))
	f.Add([]byte("executor \"a\" {\n plugin = \"p\"\n config {\n  x = [for a in [1, 2] : a]\n  y = {\"a\" = null}\n  z = <<E\n t\nE\n }\n}"))
	f.Add([]byte("task_type \"t\" {\n route = {}\n max_input = 1e9\n}"))
	f.Add([]byte("queue {\n}\nname = \"w\""))
	f.Add([]byte("\xff\x00 = \"\\u00\""))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse("f.hcl", src)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", c, err)
		}
		if err == nil {
			for _, s := range c.Show() {
				if s.Origin == "" {
					t.Errorf("%q has no origin", s.Key)
				}
			}
		} else if err.Error() == "" {
			t.Error("an error without words")
		}
		if w, err := LoadWorker("f.hcl", src); (w == nil) == (err == nil) {
			t.Fatalf("worker %v and error %v", w, err)
		}
	})
}
