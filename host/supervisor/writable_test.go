package supervisor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// A plugin that others may write, itself or by way of its directory, is refused with what to
// do, unless that is allowed.
func TestWritablePlugin(t *testing.T) {
	const owner, group = 1000, 2000
	for name, test := range map[string]struct {
		file, dir os.FileMode
		linked    bool
		gid       int
		want      string // the path, within the test's folder, that is to be changed
	}{
		"nobody else":                   {0o755, 0o755, false, group, ""},
		"others":                        {0o757, 0o755, false, group, "plugins/p"},
		"its group":                     {0o775, 0o755, false, group, "plugins/p"},
		"the owner's own group":         {0o775, 0o775, false, owner, ""},
		"all, but for the group":        {0o777, 0o755, false, owner, "plugins/p"},
		"others, the directory":         {0o755, 0o777, false, group, "plugins"},
		"its group, the directory":      {0o755, 0o775, false, group, "plugins"},
		"others, where a link leads to": {0o757, 0o755, true, group, "elsewhere/p"},
		"others, where the link stands": {0o755, 0o777, true, group, "plugins"},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			plugins, elsewhere := filepath.Join(root, "plugins"), filepath.Join(root, "elsewhere")
			path := filepath.Join(plugins, "p")
			file := path
			if test.linked {
				file = filepath.Join(elsewhere, "p")
			}
			for _, err := range []error{os.Mkdir(plugins, 0o755), os.Mkdir(elsewhere, 0o755), os.WriteFile(file, nil, 0o755)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if test.linked {
				if err := os.Symlink(file, path); err != nil {
					t.Fatal(err)
				}
			}
			for p, mode := range map[string]os.FileMode{file: test.file, plugins: test.dir} {
				if err := os.Chown(p, owner, test.gid); err != nil {
					t.Skip("only root can give a file to somebody")
				}
				if err := os.Chmod(p, mode); err != nil {
					t.Fatal(err)
				}
			}
			err = writableByOthers(path)
			if (err != nil) != (test.want != "") {
				t.Fatalf("%v", err)
			}
			if err != nil {
				contains(t, err.Error(), "chmod go-w "+filepath.Join(root, test.want)+",", "allow_writable_plugins = true", path)
			}
		})
	}
}

func TestWritablePluginIsNotRun(t *testing.T) {
	for name, allow := range map[string]bool{"refused": false, "allowed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.AllowWritable = allow })
			r.serving("good")
			if err := os.Chmod(r.dir, 0o777); err != nil {
				t.Fatal(err)
			}
			e := r.start(task.ExecutorConfig{Plugin: "good"})
			if allow {
				r.ready(e)
				return
			}
			contains(t, r.until(e, task.ExecutorQuarantined).Reason, "chmod go-w "+r.dir)
			if found, err := Find(r.opts.PluginDirs); err != nil || len(found) != 1 || found[0].Writable == nil {
				t.Errorf("%+v, %v", found, err)
			}
			if err := os.Chmod(r.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := e.Restart(t.Context()); err != nil {
				t.Error(err)
			}
			r.ready(e)
		})
	}
}
