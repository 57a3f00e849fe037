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
)

// Found is a plugin binary in one of the plugin directories.
type Found struct {
	Name   string // what the operator writes as plugin = "name"
	Path   string
	SHA256 string // in hexadecimal
	Size   int64
	// Hidden says that an earlier directory holds a binary of the same name.
	Hidden bool
	// Writable says why the plugin is refused where writable ones are not allowed; nil
	// if nobody but its owner may write it.
	Writable error
}

// Find lists the binaries in the plugin directories, sorted by directory and
// name. A directory that does not exist holds none.
func (s *Supervisor) Find() ([]Found, error) {
	return Find(s.options.PluginDirs)
}

// Find lists the binaries in dirs; it needs no supervisor.
func Find(dirs []string) ([]Found, error) {
	var found []Found
	var errs []error
	seen := map[string]bool{}
	for _, dir := range dirs {
		names, err := binaries(dir)
		if err != nil {
			errs = append(errs, err)
		}
		for _, name := range names {
			f := Found{Name: name, Path: filepath.Join(dir, name), Hidden: seen[name]}
			seen[name] = true
			if f.SHA256, f.Size, err = checksum(f.Path); err != nil {
				errs = append(errs, err)
				continue
			}
			f.Writable = writableByOthers(f.Path)
			found = append(found, f)
		}
	}
	return found, errors.Join(errs...)
}

// binaries are the names in dir that can be executed by someone, sorted.
func binaries(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("plugin directory: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name())) // follows links
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func checksum(path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("plugin: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("plugin: read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// lookup is the path of the plugin's binary, or an error that names what there
// is instead.
func (s *Supervisor) lookup(plugin string) (string, error) {
	var known []string
	for _, dir := range s.options.PluginDirs {
		names, err := binaries(dir)
		if err != nil {
			return "", err
		}
		if slices.Contains(names, plugin) {
			return filepath.Join(dir, plugin), nil
		}
		known = append(known, names...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	where := "no plugin directory is set"
	if len(s.options.PluginDirs) > 0 {
		where = "there are no executable files in " + strings.Join(s.options.PluginDirs, ", ")
		if len(known) > 0 {
			where = strings.Join(s.options.PluginDirs, ", ") + " has " + strings.Join(known, ", ")
		}
	}
	if len(s.options.Builtins) > 0 {
		where += "; built in are " + strings.Join(s.options.Builtins, ", ")
	}
	return "", &missingFileError{fmt.Errorf("unknown plugin %q: %s", plugin, where)}
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
