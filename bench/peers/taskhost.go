package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/taskhost/taskhost/bench/load"
	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/sdk"
)

const (
	taskType     = "job"
	executorName = "goroutines"
)

// taskhostQueue is a host in this process, whose executor is paused while no workers are wanted.
type taskhostQueue struct {
	host   *host.Host
	served chan error
	stop   context.CancelFunc
	submit func(ctx context.Context, first int64, count int) error
	wait   func(ctx context.Context, number int64) error
	hangUp func()
	about  load.About
}

// openTaskhost opens a host on a fresh store; its tasks are submitted through package host, or to
// its REST side over kept connections.
func openTaskhost(rest bool) func(context.Context, string, func(int64)) (load.Queue, error) {
	return func(ctx context.Context, dir string, done func(int64)) (load.Queue, error) {
		script := sdk.Script{TypeInfo: sdk.TypeInfo{Name: taskType}, Run: func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
			var j job
			if err := json.Unmarshal(t.Input, &j); err != nil {
				return sdk.Result{}, sdk.Permanent(err)
			}
			done(j.Number)
			return sdk.Result{}, nil
		}}
		h, err := host.Open(ctx, host.Options{
			DataDir: filepath.Join(dir, "data"), Listen: "127.0.0.1:0",
			Builtins:  []sdk.Plugin{eventlet.Plugin("bench", eventlet.FactoryOf(script))},
			Executors: []task.ExecutorConfig{{Name: executorName, Plugin: eventlet.Name, Slots: slots}},
		})
		if err != nil {
			return nil, err
		}
		q := &taskhostQueue{host: h, served: make(chan error, 1), hangUp: func() {}, about: load.About{
			Name: "taskhost", Version: "this tree", Settings: fmt.Sprintf("%d slots", slots), Batch: "one Submit of 100",
			OnDisk: "the task and its first event, fsynced", Stored: "the task with its state, result and history, fsynced",
		}}
		q.submit, q.wait = q.inProcess()
		if rest {
			q.about.Name = "taskhost, REST"
			q.about.Settings += ", 64 kept connections"
			q.about.Batch = "one POST of /v1/batches with 100"
			q.submit, q.wait = q.overREST()
		}
		var serve context.Context
		serve, q.stop = context.WithCancel(context.Background())
		go func() { q.served <- h.Run(serve) }()
		err = until(ctx, func(context.Context) (bool, error) {
			return h.Tasks().Executors()[0].State == task.ExecutorReady && len(h.Tasks().Types(host.DefaultScope())) > 0, nil
		})
		if err == nil {
			err = q.pause()
		}
		if err != nil {
			return nil, errors.Join(err, q.Close())
		}
		return q, nil
	}
}

func (q *taskhostQueue) inProcess() (submit func(context.Context, int64, int) error, wait func(context.Context, int64) error) {
	send := func(ctx context.Context, first int64, count int) ([]task.Task, error) {
		specs := make([]task.Spec, count)
		for i := range specs {
			specs[i] = task.Spec{Type: taskType, Input: payload(first + int64(i))}
		}
		tasks, _, err := q.host.Tasks().Submit(ctx, host.DefaultScope(), specs, nil)
		return tasks, err
	}
	submit = func(ctx context.Context, first int64, count int) error {
		_, err := send(ctx, first, count)
		return err
	}
	wait = func(ctx context.Context, number int64) error {
		tasks, err := send(ctx, number, 1)
		if err != nil {
			return err
		}
		t, err := q.host.Tasks().Wait(ctx, host.DefaultScope(), tasks[0].ID)
		if err == nil && t.State != task.Succeeded {
			err = fmt.Errorf("the task is %s", t.State)
		}
		return err
	}
	return submit, wait
}

func (q *taskhostQueue) overREST() (submit func(context.Context, int64, int) error, wait func(context.Context, int64) error) {
	transport := &http.Transport{MaxIdleConnsPerHost: load.Clients}
	q.hangUp = transport.CloseIdleConnections
	client := &http.Client{Transport: transport}
	one := func(number int64) string { return fmt.Sprintf(`{"type":%q,"input":%s}`, taskType, payload(number)) }
	submit = func(ctx context.Context, first int64, count int) error {
		if count == 1 {
			_, err := q.post(ctx, client, "/v1/tasks", []byte(one(first)), "")
			return err
		}
		body := bytes.NewBufferString(`{"tasks":[`)
		for i := range count {
			if i > 0 {
				body.WriteByte(',')
			}
			body.WriteString(one(first + int64(i)))
		}
		body.WriteString("]}")
		_, err := q.post(ctx, client, "/v1/batches", body.Bytes(), "")
		return err
	}
	wait = func(ctx context.Context, number int64) error {
		answer, err := q.post(ctx, client, "/v1/tasks", []byte(one(number)), "wait=60")
		if err != nil {
			return err
		}
		var t struct{ State string }
		if err := json.Unmarshal(answer, &t); err != nil {
			return err
		}
		if t.State != task.Succeeded.String() {
			return fmt.Errorf("the task is %s", t.State)
		}
		return nil
	}
	return submit, wait
}

// post sends a body and reads the whole answer, so that its connection serves the next.
func (q *taskhostQueue) post(ctx context.Context, client *http.Client, path string, body []byte, prefer string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+q.host.Addr()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if prefer != "" {
		req.Header.Set("Prefer", prefer)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("POST %s: %s: %s", path, resp.Status, answer)
	}
	return answer, err
}

func (q *taskhostQueue) About() load.About { return q.about }

func (q *taskhostQueue) Submit(ctx context.Context, first int64, count int) error {
	return q.submit(ctx, first, count)
}

func (q *taskhostQueue) Work(ctx context.Context) (func() error, error) {
	if _, err := q.host.Tasks().ControlExecutor(ctx, executorName, "resume"); err != nil {
		return nil, err
	}
	return q.pause, nil
}

func (q *taskhostQueue) pause() error {
	_, err := q.host.Tasks().ControlExecutor(context.Background(), executorName, "pause")
	return err
}

func (q *taskhostQueue) Unfinished(context.Context) (bool, error) {
	for _, t := range q.host.Tasks().Types(host.DefaultScope()) {
		if t.Counts.Ready+t.Counts.Waiting+t.Counts.Active > 0 {
			return true, nil
		}
	}
	return false, nil
}

func (q *taskhostQueue) Finished(ctx context.Context, _ int64) (n int64, err error) {
	f := task.Filter{States: []task.State{task.Succeeded}, Ascending: true, Limit: task.MaxListLimit}
	for {
		page, err := q.host.Tasks().List(ctx, host.DefaultScope(), f)
		if err != nil {
			return n, err
		}
		n += int64(len(page.Tasks))
		if page.Next.IsZero() {
			return n, nil
		}
		f.Cursor = page.Next
	}
}

func (q *taskhostQueue) RoundTrip(ctx context.Context, number int64) (time.Duration, error) {
	return timed(func() error { return q.wait(ctx, number) })
}

func (q *taskhostQueue) Close() error {
	q.stop()
	q.hangUp() // or the host waits for requests over connections that were made and never used
	return errors.Join(<-q.served, q.host.Close())
}
