package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Checked is what Check found.
type Checked struct {
	// Problems are in no certain order.
	Problems []config.Problem
	// Unchecked are the executors whose config only their plugin can judge, when it starts:
	// it was not asked what it is, or does not say.
	Unchecked []string
}

// Check says all that is wrong with executors and task types and takes their plugins to know:
// plugins that are not there or may not be run, configs that built-ins refuse, types that
// nobody offers. With ask it starts each plugin process once, asks what it is and ends it, and
// so knows the same of those; without, it runs none. Scripts may make the folders that their
// config names.
func Check(ctx context.Context, o Options, ask bool) (Checked, error) {
	dir, err := os.MkdirTemp("", "taskhost-check-")
	if err != nil {
		return Checked{}, err
	}
	defer os.RemoveAll(dir)
	if o, err = o.absolute(); err != nil {
		return Checked{}, err
	}
	if !o.NoBoard {
		o = o.withBoard(nil)
	}
	c := &checker{o: o, dir: dir, known: map[string]sdk.Metadata{}}
	c.pluginDirs()
	var processes []task.ExecutorConfig
	for _, x := range o.Executors {
		if p := o.builtin(x.Plugin); p != nil {
			c.builtin(ctx, p, x)
		} else if c.pluginFile(x) {
			processes = append(processes, x)
		}
	}
	if ask && len(processes) > 0 {
		if err := c.ask(ctx, processes); err != nil {
			return Checked{}, err
		}
	}
	for _, x := range processes {
		if m, ok := c.known[x.Name]; !ok || m.ConfigSchema == nil {
			c.unchecked = append(c.unchecked, x.Name)
		}
	}
	c.taskTypes()
	c.twoOfOneType()
	return Checked{Problems: c.problems, Unchecked: c.unchecked}, nil
}

// checkStrictly is Check for a host that starts with no faulty executor.
func checkStrictly(o Options) error {
	found, err := Check(context.Background(), o, false)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range found.Problems {
		if !p.Warning {
			errs = append(errs, errors.New(o.at(p.Key)+p.Key+": "+p.Detail))
		}
	}
	return errors.Join(errs...)
}

// at is where a key stands, for the begin of an error; "" if that is not known.
func (o Options) at(key string) string {
	if o.Place == nil {
		return ""
	}
	if place := o.Place(key); place != "" {
		return place + ": "
	}
	return ""
}

func (o Options) builtin(name string) *sdk.Plugin {
	i := slices.IndexFunc(o.Builtins, func(p sdk.Plugin) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &o.Builtins[i]
}

func (o Options) builtinNames() (names []string) {
	for _, p := range o.Builtins {
		names = append(names, p.Name)
	}
	return names
}

type checker struct {
	o   Options
	dir string // for what is tried
	mu  sync.Mutex

	problems  []config.Problem
	unchecked []string
	// known is what the plugin of each executor says of itself, where it was heard.
	known map[string]sdk.Metadata
}

func (c *checker) add(problems ...config.Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, problems...)
}

func (c *checker) fault(key, summary, format string, args ...any) {
	c.add(config.Problem{Key: key, Summary: summary, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) warn(key, summary, format string, args ...any) {
	c.add(config.Problem{Key: key, Summary: summary, Detail: fmt.Sprintf(format, args...), Warning: true})
}

// pluginDirs finds directories that are missing. That is no more than odd where every
// executor is built in.
func (c *checker) pluginDirs() {
	say := c.warn
	if c.o.at("plugin_dir") == "" { // nobody has named it
		say = func(string, string, string, ...any) {}
	}
	for _, x := range c.o.Executors {
		if c.o.builtin(x.Plugin) == nil {
			say = c.fault
		}
	}
	for _, dir := range c.o.PluginDirs {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			say("plugin_dir", "No directory of plugins", "%s does not exist: make it, or name another as plugin_dir.", dir)
		case err != nil:
			say("plugin_dir", "No directory of plugins", "%s.", sentence(err.Error()))
		case !info.IsDir():
			say("plugin_dir", "No directory of plugins", "%s is no directory; plugin_dir names the one that holds the plugins' files.", dir)
		}
	}
}

// sentence is an error's text at the begin of a sentence.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// builtin has a built-in's schema and the built-in itself judge a block.
func (c *checker) builtin(ctx context.Context, p *sdk.Plugin, x task.ExecutorConfig) {
	c.hear(x.Name, p.Metadata())
	if !c.schema(ctx, x, p.ConfigSchema) || p.Check == nil && p.Configured == nil {
		return
	}
	dir := filepath.Join(c.dir, "executors", x.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.fault("executor."+x.Name, "Not checked", "%v", err)
		return
	}
	cfg := sdk.NewConfig(x.Name, x.Config, nil)
	cfg.DataDir, cfg.Dir, cfg.Slots, cfg.Log = dir, c.o.ConfigDir, x.Slots, hclog.NewNullLogger()
	if p.Check != nil {
		if err := p.Check(cfg); err != nil {
			c.fault("executor."+x.Name+".config", notAConfig(x.Plugin), "%s.", sentence(err.Error()))
			return
		}
	}
	if p.Configured != nil {
		c.hear(x.Name, p.Configured(cfg))
	}
}

func notAConfig(plugin string) string { return "Not a config for plugin " + strconv.Quote(plugin) }

// schema judges a block by the schema that its plugin declares, and says whether it is right.
func (c *checker) schema(ctx context.Context, x task.ExecutorConfig, schema []byte) bool {
	problems := CheckBlock(ctx, "executor."+x.Name+".config", notAConfig(x.Plugin), schema, x.Config)
	c.add(problems...)
	return len(problems) == 0
}

// CheckBlock says what is wrong with a block of which a JSON Schema is known, key by key.
// key is the block's, and block its attributes, one JSON object.
func CheckBlock(ctx context.Context, key, summary string, schema, block []byte) []config.Problem {
	faults, err := registry.CheckConfig(ctx, schema, block)
	if err != nil {
		return []config.Problem{{Key: key, Summary: summary, Detail: sentence(err.Error()) + "."}}
	}
	var out []config.Problem
	for _, f := range faults {
		out = append(out, config.Problem{Key: strings.Join(append([]string{key}, f.Path...), "."), Summary: summary, Detail: faultText(f)})
	}
	return out
}

// faultText is a sentence about one key of a block.
func faultText(f task.FieldError) string {
	text := strings.Join(f.Path, ".") + " " + f.Message
	if len(f.Path) == 0 {
		text = "It " + f.Message
	}
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// pluginFile says whether the plugin of x is a file that may be run.
func (c *checker) pluginFile(x task.ExecutorConfig) bool {
	key := "executor." + x.Name + ".plugin"
	found, err := supervisor.Lookup(c.o.PluginDirs, c.o.builtinNames(), x.Plugin)
	if err != nil {
		c.fault(key, "No such plugin", "%s", sentence(err.Error()))
		return false
	}
	if found.Writable != nil && !c.o.AllowWritablePlugins {
		c.fault(key, "A plugin that others may change", "%s", sentence(found.Writable.Error()))
		return false
	}
	if x.SHA256 == "" {
		return true
	}
	sum, err := supervisor.Checksum(found.Path)
	switch {
	case err != nil:
		c.fault(key, "No such plugin", "%s.", sentence(err.Error()))
	case sum != x.SHA256:
		c.fault("executor."+x.Name+".sha256", "Another file", "%s has sha256 %s: put the right file there, or write its sum here.", found.Path, sum)
	default:
		return true
	}
	return false
}

// hear keeps what the plugin of an executor says of itself. One that says nothing leaves all
// of it unknown.
func (c *checker) hear(executor string, m sdk.Metadata) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.ConfigSchema != nil || m.Types != nil || m.Nodes {
		c.known[executor] = m
	}
}

// ask starts each plugin of the executors once, to hear what it is.
func (c *checker) ask(ctx context.Context, executors []task.ExecutorConfig) error {
	sup, err := supervisor.Open(supervisor.Options{Builtins: c.o.builtinNames(), AllowWritable: c.o.AllowWritablePlugins,
		RunDir: filepath.Join(c.dir, "run"), PluginDirs: c.o.PluginDirs, Env: c.o.PluginEnv, Log: hclog.NewNullLogger()})
	if err != nil {
		return err
	}
	byPlugin := map[string][]task.ExecutorConfig{}
	for _, x := range executors {
		byPlugin[x.Plugin] = append(byPlugin[x.Plugin], x)
	}
	var asked sync.WaitGroup
	for plugin, those := range byPlugin {
		asked.Go(func() {
			m, err := sup.Metadata(ctx, those[0], filepath.Join(c.dir, "plugins", plugin))
			for _, x := range those {
				if err != nil {
					c.fault("executor."+x.Name+".plugin", "The plugin does not come up", "%s.", sentence(err.Error()))
					continue
				}
				c.hear(x.Name, m)
				c.schema(ctx, x, m.ConfigSchema)
			}
		})
	}
	asked.Wait()
	return errors.Join(ctx.Err(), sup.Close(context.WithoutCancel(ctx)))
}

// taskTypes finds types that nobody offers and routes that decide over nothing.
func (c *checker) taskTypes() {
	for _, name := range slices.Sorted(maps.Keys(c.o.Types)) {
		t := c.o.Types[name]
		key := "task_type." + name
		executor, offered, unheard := c.serving(name, t.Executor)
		if executor == "" && !unheard {
			text := "No executor offers task type " + strconv.Quote(name)
			if t.Executor != "" {
				text = fmt.Sprintf("Executor %q does not offer task type %q", t.Executor, name)
			}
			if near := task.Nearest(name, offered); near != "" {
				text += fmt.Sprintf(". Did you mean %q?", near)
			} else {
				text += "; it could be " + strings.Join(offered, ", ") + "."
			}
			c.fault(key, "A task type that nobody offers", "%s", text)
			continue
		}
		m, known := c.known[executor]
		if known && m.StartUnknown && t.MaxLost != nil && *t.MaxLost == 0 {
			c.fault(key+".max_lost", "A promise that cannot be kept", "Executor %q cannot say whether an attempt has begun that was never answered, so a task of this type may run twice: write 1 at the least, or leave the key out.", executor)
		}
		if known && len(t.Route) > 0 && !m.Nodes {
			c.fault(key+".route", "A route that leads nowhere", "Executor %q runs its tasks itself and looks at no route: leave the route out, or place the type on an executor that has workers.", executor)
		}
	}
}

// serving is the executor that would run a type: the one where it is placed, or else the
// first that offers it; "" if none does. offered are the types that the asked ones offer;
// unheard says that it may be one of whose types nothing is known.
func (c *checker) serving(name, placed string) (executor string, offered []string, unheard bool) {
	for _, x := range c.o.Executors {
		if placed != "" && x.Name != placed {
			continue
		}
		m, ok := c.known[x.Name]
		if !ok || m.Types == nil {
			if placed != "" {
				return x.Name, nil, true
			}
			unheard = true
			continue
		}
		if slices.Contains(m.Types, name) && executor == "" && !unheard {
			executor = x.Name
		}
		offered = append(offered, m.Types...)
	}
	if slices.Contains(offered, name) {
		return executor, offered, unheard
	}
	slices.Sort(offered)
	return "", slices.Compact(offered), unheard
}

// twoOfOneType warns of types that two executors offer and the file places on none.
func (c *checker) twoOfOneType() {
	first := map[string]string{} // the executor that serves each type
	for _, x := range c.o.Executors {
		also := map[string][]string{} // what others serve of the types of x, by executor
		for _, name := range c.known[x.Name].Types {
			switch serves := first[name]; {
			case c.o.Types[name].Executor != "":
			case serves == "":
				first[name] = x.Name
			default:
				also[serves] = append(also[serves], name)
			}
		}
		for _, serves := range slices.Sorted(maps.Keys(also)) {
			types := also[serves]
			other := fmt.Sprintf("To have %q serve one of them:\n\n  task_type %q { executor = %q }", x.Name, types[0], x.Name)
			if c.o.Types == nil { // a worker places none
				other = fmt.Sprintf("To have %q serve them, put it before the other.", x.Name)
			}
			c.warn("executor."+x.Name, "Two executors of one task type", "Executors %q and %q both offer %s: %q serves, because it stands first. %s",
				serves, x.Name, strings.Join(types, ", "), serves, other)
		}
	}
}
