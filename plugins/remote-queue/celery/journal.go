package celery

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/files"
)

const (
	// keepPublished is longer than an attempt can take: a line that is older is of no use.
	keepPublished = 31 * 24 * time.Hour
	// compactAt is how many lines that are of no use any more the file may have, at the least.
	compactAt = 20_000
)

// journal keeps on disk which messages the broker has confirmed, so that a later process of
// the host waits for their answers. A line is written once and not synced: it outlasts the
// process. Should the machine lose it, the message is revoked and the task runs anew.
type journal struct {
	path string

	mu    sync.Mutex
	file  *os.File
	lines int
	live  map[string]time.Time // by message id: when it was published
}

func openJournal(dir string) (*journal, error) {
	j := &journal{path: filepath.Join(dir, "published"), live: map[string]time.Time{}}
	data, err := os.ReadFile(j.path)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("which messages were published cannot be read: %w", err)
	}
	parseJournal(data, time.Now(), j.live)
	return j, j.rewrite()
}

// parseJournal reads the lines of the file; the last may be torn.
func parseJournal(data []byte, now time.Time, into map[string]time.Time) {
	for _, line := range strings.Split(string(data), "\n") {
		id, at, ok := strings.Cut(line, " ")
		if !ok || len(id) != len("00000000-0000-8000-8000-000000000000") {
			continue
		}
		seconds, err := strconv.ParseInt(at, 10, 64)
		published := time.Unix(seconds, 0)
		if err == nil && now.Sub(published) < keepPublished && !published.After(now.Add(time.Minute)) {
			into[id] = published
		}
	}
}

// rewrite leaves out what is of no use any more. j.mu is held, or nobody else knows j.
func (j *journal) rewrite() error {
	var b bytes.Buffer
	for id, at := range j.live {
		fmt.Fprintf(&b, "%s %d\n", id, at.Unix())
	}
	if err := files.Replace(j.path, b.Bytes()); err != nil {
		return err
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	var err error
	j.lines = len(j.live)
	j.file, err = os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	return err
}

// add notes that a message was published just now.
func (j *journal) add(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	j.live[id] = now
	j.lines++
	if _, err := fmt.Fprintf(j.file, "%s %d\n", id, now.Unix()); err != nil {
		return err
	}
	if j.lines > 2*len(j.live)+compactAt {
		return j.rewrite()
	}
	return nil
}

// at is when a message was published; false if it is not known to be.
func (j *journal) at(id string) (time.Time, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	at, ok := j.live[id]
	return at, ok
}

// remove forgets a message. The line goes with the next rewrite.
func (j *journal) remove(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.live, id)
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.rewrite()
	if j.file != nil {
		_ = j.file.Close()
	}
	return err
}
