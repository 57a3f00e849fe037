package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/taskhost/taskhost/host/files"
)

// record is what a later host needs to end a process that this one leaves
// behind. It is written before the process is started, and again with its pid
// before the process is given anything to do.
type record struct {
	Instance string `json:"instance"`
	Executor string `json:"executor"`
	Plugin   string `json:"plugin"`
	Boot     string `json:"boot"`
	Pid      int    `json:"pid,omitempty"`
	Start    uint64 `json:"start,omitempty"`
}

// write puts the record on the disk for good.
func (r record) write(dir string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("record plugin instance: %w", err)
	}
	if err := files.WriteDurable(r.path(dir), data); err != nil {
		return fmt.Errorf("record plugin instance: %w", err)
	}
	return nil
}

func (r record) path(dir string) string { return filepath.Join(dir, r.Instance+".json") }

func (r record) remove(dir string) error { return os.Remove(r.path(dir)) }

// readRecords reads what is on record in dir. A file that cannot be read is
// passed over: it was being written when the host died, before its process began.
func readRecords(dir string) ([]record, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var out []record
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var r record
		if json.Unmarshal(data, &r) == nil && r.Instance+".json" == filepath.Base(path) {
			out = append(out, r)
		}
	}
	return out, nil
}
