package files

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, old := range []string{path, path + ".new"} { // both left by somebody careless
		if err := os.WriteFile(old, []byte("a longer one than what comes"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Replace(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	st, serr := os.Stat(path)
	if err != nil || serr != nil || string(data) != "new" || st.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v, %v", data, st.Mode(), err, serr)
	}
	if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("the temporary file is left: %v", err)
	}
	if err := Replace(filepath.Join(path, "no-directory"), nil); err == nil {
		t.Error("it said nothing of a directory that is not there")
	}
}
