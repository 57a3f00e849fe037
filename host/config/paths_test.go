package config

import (
	"os"
	"path/filepath"
	"testing"
)

// A relative path of the file is meant against the file's folder, wherever the program
// stands; one of a flag or the environment against the working directory.
func TestRelativePaths(t *testing.T) {
	root := t.TempDir()
	etc := filepath.Join(root, "etc")
	if err := os.Mkdir(etc, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(etc, "f.hcl")
	if err := os.WriteFile(file, []byte("data_dir = \"data\"\nplugin_dir = \"../plugins\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	for name, test := range map[string]struct {
		path          string
		env           []string
		flags         Flags
		data, plugins string
	}{
		"the file":         {path: file, data: "etc/data", plugins: "plugins"},
		"by relative path": {path: "etc/f.hcl", data: "etc/data", plugins: "plugins"},
		"the environment":  {path: file, env: []string{"TASKHOST_DATA_DIR=here", "TASKHOST_PLUGIN_DIR=./p"}, data: "here", plugins: "p"},
		"flags":            {path: file, env: []string{"TASKHOST_DATA_DIR=here"}, flags: Flags{DataDir: "./x/", PluginDir: ".."}, data: "x", plugins: ".."},
		"flags, no file":   {flags: Flags{DataDir: "x", PluginDir: "p"}, data: "x", plugins: "p"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(test.path, test.env, test.flags)
			if err != nil {
				t.Fatal(err)
			}
			data, plugins := filepath.Join(root, test.data), filepath.Join(root, test.plugins)
			if c.DataDir != data || c.PluginDir != plugins {
				t.Errorf("data_dir %s, plugin_dir %s; want %s and %s", c.DataDir, c.PluginDir, data, plugins)
			}
			for _, s := range c.Show() {
				if s.Key == "data_dir" && s.Value != data || s.Key == "plugin_dir" && s.Value != plugins {
					t.Errorf("shown is %+v", s)
				}
			}
			want := etc
			if test.path == "" {
				want = root
			}
			if c.Dir() != want {
				t.Errorf("the folder is %s, want %s", c.Dir(), want)
			}
		})
	}
	w, err := LoadWorker("etc/w.hcl", []byte("name = \"w\"\ndata_dir = \"d\"\nqueue {\n}\nexecutor \"a\" {\n plugin = \"p\"\n}\n"))
	if err != nil || w.DataDir != filepath.Join(etc, "d") || w.Dir() != etc {
		t.Errorf("worker: %+v, %v", w, err)
	}
}

// A state directory that is no absolute path is nobody's.
func TestRelativeStateHome(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root's state is elsewhere")
	}
	t.Setenv("XDG_STATE_HOME", "state")
	c, err := Load("", nil, Flags{})
	if err != nil || !filepath.IsAbs(c.DataDir) || filepath.Base(filepath.Dir(c.DataDir)) != "state" || filepath.Base(filepath.Dir(filepath.Dir(c.DataDir))) != ".local" {
		t.Errorf("data_dir %s, %v", c.DataDir, err)
	}
}
