package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskhost/taskhost/plugins/remote-queue/files"
	"github.com/taskhost/taskhost/sdk"
)

// JoinFile stands in the executor's data directory: where its broker listens, and
// a secret that lets in whoever may read it. Only the host's user may.
const JoinFile = "join.json"

// JoinInfo is how a worker on the same machine reaches an embedded broker.
type JoinInfo struct {
	URL   string   `json:"url"`
	Token string   `json:"token"`
	Queue string   `json:"queue"`
	CA    sdk.Path `json:"ca,omitempty"` // absolute
}

// ReadJoin reads a join file.
func ReadJoin(path string) (JoinInfo, error) {
	var j JoinInfo
	data, err := os.ReadFile(path)
	if err != nil {
		return j, fmt.Errorf("join: %w", err)
	}
	if err := json.Unmarshal(data, &j); err != nil || j.URL == "" || j.Token == "" {
		return j, fmt.Errorf("join: %s is not a join file", path)
	}
	return j, nil
}

// WriteJoin replaces the file in one step: a worker may be reading it.
func WriteJoin(path string, j JoinInfo) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if err := files.Replace(path, append(data, '\n')); err != nil {
		return fmt.Errorf("join file: %w", err)
	}
	return nil
}

// FindJoin finds the join file of a host by its data directory: that of the only
// executor that has one, or of the one that is named. dir may also be an
// executor's own directory.
func FindJoin(dir, executor string) (string, error) {
	if executor != "" {
		return filepath.Join(dir, "executors", executor, JoinFile), nil
	}
	own := filepath.Join(dir, JoinFile)
	if _, err := os.Stat(own); err == nil {
		return own, nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "executors", "*", JoinFile))
	switch {
	case err != nil:
		return "", fmt.Errorf("join %q: %w", dir, err)
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return "", fmt.Errorf("join %q: no executor of a host has its broker there: is it the host's data_dir, and has the host run?", dir)
	}
	for i, f := range found {
		found[i] = filepath.Base(filepath.Dir(f))
	}
	return "", fmt.Errorf("join %q: there are several (%s): say which one as executor", dir, strings.Join(found, ", "))
}
