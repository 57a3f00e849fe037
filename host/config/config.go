// Package config reads the operator's file: HCL, all errors of a file at once,
// each with its place and what to do. What it gives are plain values; host makes
// a running host of them.
package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/taskhost/taskhost/host/task"
)

// The comments of the fields here, and of those in host/task that a file sets, are the
// reference of the keys: `make generate` takes them from here.

// Common is what the config of a server and that of a worker both have.
type Common struct {
	// DataDir is the directory that holds the store and all other state, for its user alone.
	// It is made if it is not there. Without the key: /var/lib/taskhost for root, otherwise
	// taskhost below $XDG_STATE_HOME or ~/.local/state; for a worker, its name below
	// taskhost-worker at the same places.
	DataDir string
	// PluginDir is the directory that holds the files of plugins which are not built in.
	// Without the key: plugins beside the program.
	PluginDir string
	// LogLevel is the least level of the lines that are logged.
	LogLevel string
	// LogFormat is how a line of the log is written: for people, or as one JSON object.
	LogFormat string
	// PluginEnv names further environment variables that plugin processes may see; a name that
	// ends in * is a prefix. They see PATH, HOME, LANG, LC_*, TZ, TMPDIR and SSL_CERT_* in any
	// case, and no others.
	PluginEnv []string
	// AllowWritablePlugins takes plugin files that others than their owner may write, which are
	// refused otherwise: whoever may write one runs what they like as this user.
	AllowWritablePlugins bool
	// Executors are what runs tasks, in the order of the file.
	Executors []task.ExecutorConfig

	source  source
	origins map[string]string // where a value came from, by the key's path, such as executor.local.slots
}

// setters read the attributes of Common from the top of a file.
func (c *Common) setters() map[string]setter {
	return map[string]setter{
		"data_dir":               path(&c.DataDir, c.source.dir),
		"plugin_dir":             path(&c.PluginDir, c.source.dir),
		"log_level":              enum(&c.LogLevel, logLevels),
		"log_format":             enum(&c.LogFormat, logFormats),
		"plugin_env":             texts(&c.PluginEnv),
		"allow_writable_plugins": boolean(&c.AllowWritablePlugins),
	}
}

// Dir is the folder of the file, against which relative paths in executors' configs are
// meant; the working directory where there is no file.
func (c *Common) Dir() string { return c.source.dir }

// Config is the server's config: file, environment and flags laid over one
// another, in that order, over defaults that work. Load and Parse give one that is valid.
type Config struct {
	Common
	// Listen is the address of the REST side. It must be a loopback address until a token is
	// made, or tls.client_ca or trusted_proxy says who calls: whoever reaches an open host is its
	// admin. With port 0 the system chooses one, which is written to the file address in the
	// data directory.
	Listen string
	// TLS is how the REST side proves what it is, and hides what is said.
	TLS TLS
	// TrustedProxy is who may say who the caller is.
	TrustedProxy TrustedProxy
	// Glance is how the tasks are served to OpenStack's clients.
	Glance Glance
	// Anonymous is from where whoever says nothing of who they are is let in, as an admin,
	// though there are tokens. Without tokens, loopback is open in any case.
	Anonymous string
	// AuditRetain is how long it is kept who changed what: see GET /v1/audit.
	AuditRetain time.Duration
	// DrainTimeout is how long a server that stops lets running attempts finish.
	DrainTimeout time.Duration
	// CancelGrace is how long an attempt may take to stop when it was asked to, before the host
	// goes on without it.
	CancelGrace time.Duration
	// MaxLogLines is how many lines are kept of what one attempt logs. Of more the beginning is
	// kept, and how much was dropped.
	MaxLogLines int64
	// MaxLogBytes is how many bytes are kept of what one attempt logs, likewise.
	MaxLogBytes int64
	// Types are in the order of the file.
	Types []TaskType
	// Quotas are what owners may have.
	Quotas task.Quotas

	values map[string]string // as they are shown, by the key's path
}

// TaskType is a task_type block: what the operator says of the task type that is its label. It
// is laid over what the executor offers of the type, and that over what is given here as in
// force without the key.
type TaskType struct {
	Name string
	task.TypeConfig
}

// Setting is one value in force, for `config show`.
type Setting struct {
	Key    string
	Value  string // "(secret)" where it is one
	Origin string // "default", "file.hcl:3", "environment TASKHOST_LISTEN", "flag --listen"
}

// Load reads the config: path may be empty for none. env is os.Environ's.
func Load(path string, env []string, f Flags) (*Config, error) {
	c, err := defaults()
	if err != nil {
		return nil, err
	}
	over := overrides(env, f)
	if path == "" {
		c.addDefaultExecutor()
	} else {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		if err := c.parse(path, src); err != nil {
			return nil, err
		}
	}
	for _, o := range over {
		if o.path {
			if o.value, err = filepath.Abs(o.value); err != nil {
				return nil, fmt.Errorf("%s (%s): %w", o.key, o.origin, err)
			}
		}
		*o.target(c) = o.value
		delete(c.source.at, o.key) // what the file says is not in force
		c.note(o.key, o.value, o.origin)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse is Load of a file's bytes, with neither environment nor flags.
func Parse(name string, src []byte) (*Config, error) {
	c, err := defaults()
	if err != nil {
		return nil, err
	}
	if err := c.parse(name, src); err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// note remembers a value in force for Show.
func (c *Config) note(key, value, origin string) {
	c.values[key] = value
	c.origins[key] = origin
}

// validate checks what came from outside of the file: what stands in it was
// checked where it can be shown.
func (c *Config) validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen = %q (%s): want host:port, such as %s", c.Listen, c.origins["listen"], DefaultListen)
	}
	if err := oneOf("log_level", c.LogLevel, logLevels); err != nil {
		return fmt.Errorf("%w (%s)", err, c.origins["log_level"])
	}
	if err := oneOf("log_format", c.LogFormat, logFormats); err != nil {
		return fmt.Errorf("%w (%s)", err, c.origins["log_format"])
	}
	return nil
}

// IsLoopback says whether only this machine reaches addr, which is host:port. What is
// no such address is not loopback.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var (
	logLevels  = []string{"trace", "debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

func oneOf(key, v string, of []string) error {
	if slices.Contains(of, v) {
		return nil
	}
	return fmt.Errorf("%s = %q: want one of %s", key, v, strings.Join(of, ", "))
}

// Show is every value in force with where it came from, by key. Secrets are masked.
func (c *Config) Show() []Setting {
	out := make([]Setting, 0, len(c.values))
	for k, v := range c.values {
		out = append(out, Setting{Key: k, Value: mask(k, v), Origin: c.origins[k]})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// parse reads the file over c.
func (c *Config) parse(name string, src []byte) (err error) {
	if c.source, err = newSource(name, src); err != nil {
		return err
	}
	d := &decoder{source: &c.source, note: c.note}
	return d.file(serverFile, func(body hcl.Body) {
		body, quotas := withoutBlocks(body, "quota")
		blocks := append(namedBlocks("executor", "task_type"), hcl.BlockHeaderSchema{Type: "tls"}, hcl.BlockHeaderSchema{Type: "trusted_proxy"}, hcl.BlockHeaderSchema{Type: "glance"})
		content := d.body(body, "", blocks, c.serverSetters())
		d.tls(content, &c.TLS)
		d.trustedProxy(content, c)
		d.glance(content, &c.Glance)
		d.quotas(quotas, &c.Quotas)
		if c.Executors = d.executors(content); len(c.Executors) == 0 {
			c.addDefaultExecutor()
		}
		for _, b := range content.Blocks.OfType("task_type") {
			c.Types = append(c.Types, d.taskType(b, c.Executors))
		}
		d.refuseSecond(content.Blocks, "task_type")
	})
}

// serverSetters are the setters of a server's file.
func (c *Config) serverSetters() map[string]setter {
	set := c.setters()
	set["listen"] = address(&c.Listen)
	set["drain_timeout"] = duration(&c.DrainTimeout)
	set["cancel_grace"] = duration(&c.CancelGrace)
	set["max_log_lines"] = count(&c.MaxLogLines, 1, task.MaxLogLines)
	set["max_log_bytes"] = size(&c.MaxLogBytes)
	set["anonymous"] = enum(&c.Anonymous, anonymousFrom)
	set["audit_retain"] = duration(&c.AuditRetain)
	return set
}

// addDefaultExecutor gives a config without executors what a newcomer wants: one for the built-in scripts.
func (c *Config) addDefaultExecutor() {
	c.Executors = []task.ExecutorConfig{{Name: "local", Plugin: "eventlet-style", OnHostExit: task.OnHostExitDie}}
	c.note("executor.local.plugin", "eventlet-style", byDefault)
}
