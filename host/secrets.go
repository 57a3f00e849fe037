package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskhost/taskhost/host/files"
	"github.com/taskhost/taskhost/host/secret"
	"github.com/taskhost/taskhost/host/sqlite"
)

// KeyFileName is the file in the data directory that holds the keys of what is sealed in the store.
const KeyFileName = "secrets.key"

// openKeys reads the keys of a data directory, which is this process's, and makes the first.
func openKeys(dir string) (keys *secret.Ring, made bool, err error) {
	keys, err = readKeys(dir)
	if err != nil || keys != nil {
		return keys, false, err
	}
	if keys, err = secret.New(rand.Read); err == nil {
		err = writeKeys(dir, keys)
	}
	return keys, true, err
}

// readKeys reads the keys of a data directory; nil if there are none. It refuses a file that
// others may read.
func readKeys(dir string) (*secret.Ring, error) {
	path := filepath.Join(dir, KeyFileName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s: others may read it (mode %04o), and with it what is secret in the store: run \"chmod 600 %s\", and \"taskhost store rekey --data-dir %s\" if somebody may have",
			path, info.Mode().Perm(), path, dir)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	keys, err := secret.Parse(data, rand.Read)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w; put a copy of it back", path, err)
	}
	return keys, nil
}

func writeKeys(dir string, keys *secret.Ring) error {
	if err := files.WriteDurable(filepath.Join(dir, KeyFileName), keys.Encode()); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}

// loadKeys reads the keys of the host, and says where they are when it has made them.
func (h *Host) loadKeys() (*secret.Ring, error) {
	keys, made, err := openKeys(h.opts.DataDir)
	if err == nil && made {
		h.log.Info("made the key of what is secret in inputs; a backup of the store is of use only together with it", "file", filepath.Join(h.opts.DataDir, KeyFileName))
	}
	return keys, err
}

// Rekeyed is what RekeyStore did.
type Rekeyed struct {
	File     string `json:"file"`   // of the keys
	Inputs   int    `json:"inputs"` // that were sealed anew
	Unopened int    `json:"unopened"`
}

// RekeyStore makes a new key for what is secret in the store of a data directory in which no
// host runs, seals all of it anew, and drops the keys before. It may end at any moment: until
// all is sealed anew and durable both keys are on file, and another call does what is left.
// What no key opens stays as it is.
func RekeyStore(ctx context.Context, dataDir string) (r Rekeyed, err error) {
	store, err := sqlite.Open(ctx, dataDir, sqlite.Options{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	r.File = filepath.Join(dataDir, KeyFileName)
	keys, made, err := openKeys(dataDir)
	if err != nil {
		return r, err
	}
	if !made {
		if err := keys.Add(); err != nil {
			return r, err
		}
		if err := writeKeys(dataDir, keys); err != nil {
			return r, err
		}
	}
	r.Inputs, err = store.RewriteInputs(ctx, func(owner, taskType string, input []byte) ([]byte, error) {
		out, err := keys.Reseal(secret.Origin{Owner: owner, Type: taskType}, input)
		if out != nil && err != nil {
			r.Unopened++
			err = nil
		}
		return out, err
	})
	if err != nil {
		return r, err
	}
	keys.Retire()
	return r, writeKeys(dataDir, keys)
}

// opener says why a sealed value in a store cannot be opened with the keys beside it.
func opener(dataDir string) (sqlite.Opener, error) {
	keys, err := readKeys(dataDir)
	if err != nil {
		return nil, err
	}
	return func(owner, taskType string, input []byte) error {
		_, _, err := keys.Open(secret.Origin{Owner: owner, Type: taskType}, input)
		return err
	}, nil
}
