package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// Found is a file in one of the plugin directories.
type Found struct {
	Name string // what the operator writes as plugin = "name"
	Path string
	// Hidden says that an earlier directory holds a file of the same name.
	Hidden bool
	// NotExecutable says why the file is refused that has no mode bit by which it could be
	// run, and what to do if it is a plugin; nil if it has.
	NotExecutable error
	// Writable says why the plugin is refused where writable ones are not allowed; nil
	// if nobody but its owner may write it.
	Writable error
}

// Find lists the files in dirs, sorted by directory and name. A directory that does not
// exist holds none.
func Find(dirs []string) ([]Found, error) {
	var found []Found
	var errs []error
	seen := map[string]bool{}
	for _, dir := range dirs {
		inDir, err := filesIn(dir)
		if err != nil {
			errs = append(errs, err)
		}
		for _, f := range inDir {
			f.Hidden = seen[f.Name]
			seen[f.Name] = true
			f.Writable = writableByOthers(f.Path)
			found = append(found, f)
		}
	}
	return found, errors.Join(errs...)
}

// filesIn are the files of dir that may be plugins, by name.
func filesIn(dir string) ([]Found, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("plugin directory: %w", err)
	}
	var found []Found
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		f := Found{Name: e.Name(), Path: filepath.Join(dir, e.Name())}
		info, err := os.Stat(f.Path) // follows links
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if info.Mode()&0o111 == 0 {
			f.NotExecutable = fmt.Errorf("%s is not executable: if it is a plugin, chmod +x %s", f.Path, f.Path)
		}
		found = append(found, f)
	}
	return found, nil
}

// Checksum is the SHA-256 of the plugin at path, in hexadecimal.
func Checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("plugin: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err = io.Copy(h, f); err != nil {
		return "", fmt.Errorf("plugin: read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Lookup is the plugin of that name: the file in the first directory that has one which can
// be run. Its error says what there is instead; builtins are no files, and only named.
func Lookup(dirs, builtins []string, plugin string) (Found, error) {
	found, err := Find(dirs)
	if err != nil {
		return Found{}, err
	}
	var known []string
	var refused error
	for _, f := range found {
		switch {
		case f.NotExecutable == nil && f.Name == plugin:
			return f, nil
		case f.NotExecutable == nil:
			known = append(known, f.Name)
		case f.Name == plugin && refused == nil:
			refused = f.NotExecutable
		}
	}
	if refused != nil {
		return Found{}, &missingFileError{fmt.Errorf("plugin %q: %w", plugin, refused)}
	}
	hint := whatThereIs(dirs, builtins, known)
	if near := task.Nearest(plugin, slices.Concat(builtins, known)); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	return Found{}, &missingFileError{fmt.Errorf("unknown plugin %q: %s", plugin, hint)}
}

// whatThereIs says which plugins are known, for somebody who named another.
func whatThereIs(dirs, builtins, known []string) string {
	slices.Sort(known)
	known = slices.Compact(known)
	where := "no plugin directory is set"
	if len(dirs) > 0 {
		where = "there are no executable files in " + strings.Join(dirs, ", ")
	}
	if missing := slices.DeleteFunc(slices.Clone(dirs), exists); len(missing) > 0 && len(missing) == len(dirs) {
		where = "plugin_dir " + strings.Join(missing, ", ") + " does not exist"
	}
	if len(known) > 0 {
		where = strings.Join(dirs, ", ") + " has " + strings.Join(known, ", ")
	}
	if len(builtins) > 0 {
		where += "; built in are " + strings.Join(builtins, ", ")
	}
	return where
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// missingFileError says that a plugin's file is not there. It may come.
type missingFileError struct{ cause error }

func (e *missingFileError) Error() string { return e.cause.Error() }

// privateCopy copies the binary at path to dir while it takes its sum, so that
// what was checked is what is executed: the original may change at any moment.
func privateCopy(path, dir, want string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("copy plugin: %w", err)
	}
	src, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("copy plugin: %w", err)
	}
	defer func() { _ = src.Close() }()
	to := filepath.Join(dir, filepath.Base(path))
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return "", fmt.Errorf("copy plugin: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(dst, h), src)
	if err = errors.Join(err, dst.Close()); err != nil {
		return "", fmt.Errorf("copy plugin %s: %w", path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); want != "" && !strings.EqualFold(got, want) {
		return "", &checksumError{path: path, want: strings.ToLower(want), got: got}
	}
	return to, nil
}

// checksumError says that a binary is not the one the operator named.
type checksumError struct{ path, want, got string }

func (e *checksumError) Error() string {
	return fmt.Sprintf("%s has sha256 %s, but the config asks for %s: put the right file there, or write the new sum into the config",
		e.path, e.got, e.want)
}
