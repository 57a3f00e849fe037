package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func TestServes(t *testing.T) {
	r := newRig(t)
	data := filepath.Join(t.TempDir(), "data")
	e := r.startIn(task.ExecutorConfig{Plugin: r.serving("good")}, data)
	st := r.ready(e)
	if len(st.Instances) != 1 || st.Instances[0].Version != "1.2.3" || st.Instances[0].State != string(task.ExecutorReady) {
		t.Errorf("status %+v", st)
	}
	if pid := get[int](r, e, "pid", struct{}{}); pid != st.Instances[0].Pid {
		t.Errorf("task ran in %d, status says %d", pid, st.Instances[0].Pid)
	}
	info, err := e.Describe(context.Background())
	if err != nil || len(info.Types) == 0 {
		t.Errorf("describe: %+v, %v", info, err)
	}
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: %v, %v", info, err)
	}
	if err := r.sup.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if st := e.Status(); st.State != task.ExecutorStopped || len(st.Instances) != 0 {
		t.Errorf("after close: %+v", st)
	}
	if _, err := r.do(e, "pid", struct{}{}); !errors.Is(err, sdk.ErrReleased) {
		t.Errorf("after close: %v", err)
	}
}

func TestRefusedSpecs(t *testing.T) {
	r := newRig(t)
	r.serving("good")
	for name, test := range map[string]struct {
		config task.ExecutorConfig
		want   []string
	}{
		"a path":     {task.ExecutorConfig{Name: "x", Plugin: "../good"}, []string{"not a path"}},
		"hidden":     {task.ExecutorConfig{Name: "x", Plugin: ".good"}, []string{"not a path"}},
		"nameless":   {task.ExecutorConfig{Plugin: "good"}, []string{"needs a name"}},
		"no sum":     {task.ExecutorConfig{Name: "x", Plugin: "good", SHA256: "abc"}, []string{"64 hexadecimal digits"}},
		"survive":    {task.ExecutorConfig{Name: "x", Plugin: "good", OnHostExit: task.OnHostExitSurvive}, []string{"not supported yet", `"die"`}},
		"other wish": {task.ExecutorConfig{Name: "x", Plugin: "good", OnHostExit: "linger"}, []string{`"linger"`, `"die"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.sup.Start(test.config, "")
			if err == nil {
				t.Fatal("accepted")
			}
			contains(t, err.Error(), test.want...)
		})
	}
}

// A plugin that is not there, or cannot be run, is the executor's state, says what there is
// instead or what to do, and is found by itself when it comes.
func TestAbsentPlugin(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Builtins = []string{"inside"} })
	r.serving("good")
	if err := os.WriteFile(filepath.Join(r.dir, "later"), nil, 0o644); err != nil { // not executable
		t.Fatal(err)
	}
	e := r.start(task.ExecutorConfig{Plugin: "later"})
	file := filepath.Join(r.dir, "later")
	contains(t, r.until(e, task.ExecutorQuarantined).Reason, `plugin "later"`, "not executable", "chmod +x "+file, "tried again every 20ms")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.when(e, "it is gone", func(st task.ExecutorStatus) bool { return strings.Contains(st.LastError, "unknown plugin") })
	contains(t, e.Status().LastError, `unknown plugin "later"`, "has good", "built in are inside")
	r.serving("later")
	r.ready(e)
	if n := strings.Count(r.logs.String(), "executor failed:"); n != 2 {
		t.Errorf("what is wrong is logged %d times, want twice", n)
	}
}

// A description that fails is the executor's last error; the process serves on.
func TestDescriptionFails(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good"), Config: []byte(`{"describe": "no catalog"}`)})
	r.ready(e)
	if _, err := e.Describe(t.Context()); err == nil || !strings.Contains(err.Error(), "no catalog") {
		t.Errorf("describe: %v", err)
	}
	if st := e.Status(); st.State != task.ExecutorReady || !strings.Contains(st.LastError, "no catalog") {
		t.Errorf("%+v", st)
	}
}

// Whatever a plugin does before it serves is one clear error each, says what to
// do, and leaves the executors beside it alone.
func TestBadStarts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	r := newRig(t, func(o *Options) { o.StartTimeout = 5 * time.Second; o.QuarantineAfter = 1 })
	good := r.start(task.ExecutorConfig{Name: "good", Plugin: r.serving("good")})
	r.ready(good)
	for name, test := range map[string]struct {
		plugin string
		want   []string
	}{
		"exit 0":        {r.script("exit0", "exit 0"), []string{"exited with status 0", "calls sdk.Serve in main"}},
		"exit 3":        {r.script("exit3", "echo no fuel >&2; exit 3"), []string{"exited with status 3", "no fuel"}},
		"signal":        {r.script("segv", "kill -SEGV $$"), []string{"signal 11"}},
		"hangs":         {r.script("hangs", "exec sleep 60"), []string{"said nothing for 5s", "sdk.Serve first"}},
		"garbage":       {r.script("garbage", "echo hello world; exec sleep 60"), []string{`printed "hello world"`, "stderr"}},
		"garbage, dies": {r.script("garbage0", "echo hello world"), []string{`printed "hello world"`}},
		"no stdout":     {r.script("closes", "exec >&- sleep 60"), []string{"closed its stdout"}},
		"no newline":    {r.script("nonewline", "yes | tr -d '\\n'"), []string{"printed \"yyy", "…"}},
		"other version": {r.script("version", "echo '1|9|unix|/nowhere|grpc'; exec sleep 60"),
			[]string{"version 1 of go-plugin's protocol and version 9 of taskhost's", "this host versions 1 and 1", "build it with the sdk"}},
		"other core": {r.script("core", "echo '7|1|unix|/nowhere|grpc'; exec sleep 60"),
			[]string{"version 7 of go-plugin's protocol and version 1 of taskhost's", "this host versions 1 and 1"}},
		"no gRPC":    {r.script("netrpc", "echo '1|1|unix|/nowhere'; exec sleep 60"), []string{"does not speak gRPC"}},
		"no socket":  {r.script("nosocket", "echo '1|1|unix|/nowhere|grpc'; exec sleep 60"), []string{"could not be connected to"}},
		"freezes":    {r.serving("frozen"), []string{"did not answer for 5s"}},
		"no program": {"noprogram", []string{"cannot be executed", "no program for"}},
		"no interp.": {"nointerp", []string{"cannot be executed", "interpreter"}},
	} {
		_ = os.WriteFile(filepath.Join(r.dir, "noprogram"), []byte("\x00\x01\x02"), 0o755)
		_ = os.WriteFile(filepath.Join(r.dir, "nointerp"), []byte("#!/nowhere/at/all\n"), 0o755)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rig{T: t, dir: r.dir, opts: r.opts, sup: r.sup, logs: r.logs}
			e := r.start(task.ExecutorConfig{Name: name, Plugin: test.plugin})
			st := r.until(e, task.ExecutorQuarantined)
			contains(t, st.LastError, append(test.want, filepath.Join(r.dir, test.plugin))...)
			if len(st.Instances) != 0 {
				t.Errorf("instances stay: %+v", st.Instances)
			}
			if strings.Contains(st.LastError, "architecture,") || strings.Contains(st.LastError, "Unrecognized remote") {
				t.Errorf("go-plugin's guesses are shown: %s", st.LastError)
			}
			if pid := get[int](r, good, "pid", struct{}{}); pid == 0 {
				t.Error("the executor beside it is gone")
			}
		})
	}
}

// The plugin's refusal of its config is told in its words, and nothing is
// started again in a loop.
func TestRefusedConfig(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good"), Config: []byte(`{"refuse": "images_dir must exist"}`)})
	st := r.until(e, task.ExecutorQuarantined)
	contains(t, st.Reason, "config refused", "images_dir must exist", "restart")
	e = r.start(task.ExecutorConfig{Name: "y", Plugin: "good", Config: []byte(`{"imagesdir": 1}`)})
	contains(t, r.until(e, task.ExecutorQuarantined).Reason, "imagesdir")
	if n := strings.Count(r.logs.String(), "executor failed"); n != 2 {
		t.Errorf("%d starts, want one each", n)
	}
	if _, err := e.Describe(context.Background()); err == nil || !strings.Contains(err.Error(), "quarantined") {
		t.Errorf("describe: %v", err)
	}
}

// The host's environment, secrets and all, does not reach the plugin.
func TestEnvironment(t *testing.T) {
	t.Setenv("HOST_SECRET", "s3cret")
	t.Setenv("LC_TEST", "C")
	t.Setenv("MY_ONE", "1")
	t.Setenv("MY_PREFIX_TWO", "2")
	r := newRig(t, func(o *Options) { o.Env = []string{"MY_ONE", "MY_PREFIX_*"} })
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	st := r.ready(e)
	env := get[[]string](r, e, "env", struct{}{})
	for _, want := range []string{"LC_TEST=C", "MY_ONE=1", "MY_PREFIX_TWO=2", instanceVar + "=" + st.Instances[0].ID} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
	if strings.Contains(strings.Join(env, "\n"), "s3cret") {
		t.Error("the secret reached the plugin")
	}
}

// The binary is checked at each start, and what was checked is what runs: the
// file may change in between. A second start with the same sum works.
func TestSum(t *testing.T) {
	r := newRig(t)
	self, _ := os.Executable()
	sum, err := Checksum(self)
	if err != nil {
		t.Fatal(err)
	}
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good"), SHA256: strings.ToUpper(sum)})
	r.ready(e)
	exe := get[string](r, e, "exe", struct{}{})
	if !strings.HasPrefix(exe, r.opts.RunDir) {
		t.Errorf("runs %s, which is not the private copy", exe)
	}
	if err := e.Restart(context.Background()); err != nil {
		t.Errorf("second start with the same sum: %v", err)
	}
	other := strings.Repeat("0", 64)
	bad := r.start(task.ExecutorConfig{Name: "bad", Plugin: "good", SHA256: other})
	contains(t, r.until(bad, task.ExecutorQuarantined).Reason, sum, other)
}

func TestCopyIsPrivate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p")
	if err := os.WriteFile(path, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	sum, _ := Checksum(path)
	to, err := privateCopy(path, filepath.Join(dir, "copy"), sum)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("two"), 0o755); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(to); string(data) != "one" {
		t.Errorf("the copy became %q", data)
	}
	if _, err := privateCopy(path, filepath.Join(dir, "copy2"), sum); err == nil {
		t.Error("a changed file was accepted")
	}
}

// Both directions carry more than gRPC's default of 4 MiB a message.
func TestLargeMessages(t *testing.T) {
	r := newRig(t)
	e := r.start(task.ExecutorConfig{Plugin: r.serving("good")})
	r.ready(e)
	const size = 6 << 20
	if got := get[string](r, e, "big", size); len(got) != size {
		t.Errorf("result of %d bytes, want %d", len(got), size)
	}
	if got := get[int](r, e, "len", strings.Repeat("z", size)); got != size {
		t.Errorf("input of %d bytes, want %d", got, size)
	}
}

func TestFind(t *testing.T) {
	r := newRig(t)
	r.script("b", "true")
	r.script("a", "true")
	second := t.TempDir()
	_ = os.WriteFile(filepath.Join(second, "a"), []byte("x"), 0o755)
	_ = os.WriteFile(filepath.Join(second, "note.txt"), []byte("x"), 0o644)
	found, err := Find([]string{r.dir, second, filepath.Join(second, "none")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		name := f.Name
		if f.Hidden {
			name += " hidden"
		}
		if f.NotExecutable != nil {
			name += " not executable"
		}
		got = append(got, name)
	}
	if !slices.Equal(got, []string{"a", "b", "a hidden", "note.txt not executable"}) {
		t.Errorf("found %q", got)
	}
	if sum, err := Checksum(filepath.Join(second, "a")); err != nil || sum != "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" {
		t.Errorf("sum %s, %v", sum, err)
	}
}
