// Package peers is what taskhost is measured against, and taskhost itself: for each the code that
// its own documentation recommends for many small jobs.
package peers

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/taskhost/taskhost/bench/load"
)

// slots is how many jobs run at once where that costs next to nothing.
const slots = 1000

// job is what each job carries.
type job struct {
	Number int64 `json:"job"`
}

// All lists the peers, taskhost first, with which the others are compared.
func All() []load.Peer {
	return []load.Peer{
		{Name: "taskhost", Open: openTaskhost(false)},
		{Name: "taskhost, REST", Open: openTaskhost(true)},
		{Name: "River, Postgres", Open: openRiverPostgres},
		{Name: "River, SQLite", Open: openRiverSQLite},
		{Name: "goqite", Open: openGoqite},
		{Name: "SKIP LOCKED by hand", Open: openSkipLocked},
		{Name: "asynq, fsync always", Open: openAsynq("asynq, fsync always", "always", 8)},
		{Name: "asynq, fsync every second", Open: openAsynq("asynq, fsync every second", "everysec", 4)},
		{Name: "Celery, RabbitMQ", Open: openCelery},
	}
}

// module is the version of a library that this program is built with, and where its files are.
func module(ctx context.Context, path string) (version, dir string, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", path).Output()
	if err != nil {
		return "", "", fmt.Errorf("go list -m %s, which works in bench/ only: %w", path, err)
	}
	version, dir, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return version, dir, nil
}

// pollEvery is how often a client looks whether its job is done, where nobody tells it.
const pollEvery = time.Millisecond

// until asks over and over, and returns once done says true.
func until(ctx context.Context, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// timed is how long f takes.
func timed(f func() error) (time.Duration, error) {
	started := time.Now()
	err := f()
	return time.Since(started), err
}

// numbers are the jobs first to first+count-1.
func numbers(first int64, count int) []int64 {
	all := make([]int64, count)
	for i := range all {
		all[i] = first + int64(i)
	}
	return all
}

// payload is a job as JSON.
func payload(number int64) []byte { return fmt.Appendf(nil, `{"job":%d}`, number) }
