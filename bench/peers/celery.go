package peers

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/taskhost/taskhost/bench/load"
	"github.com/taskhost/taskhost/bench/server"
)

// celeryJob is the task's module and the client's program.
//
//go:embed celery_job.py
var celeryJob []byte

const (
	celeryModule    = "celery_job"
	celeryProcesses = 2
)

// celeryQueue is Celery over RabbitMQ: a client process in Python that submits, and a worker.
type celeryQueue struct {
	dir     string
	rabbit  *server.RabbitMQ
	client  *celeryClient
	reports *net.UnixConn // of the worker
	ready   chan struct{} // a worker consumes
	done    func(int64)
}

func openCelery(ctx context.Context, dir string, done func(int64)) (_ load.Queue, err error) {
	if err := server.CheckPython(ctx, "celery"); err != nil {
		return nil, err
	}
	q := &celeryQueue{dir: dir, ready: make(chan struct{}, 1), done: done}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.Close())
		}
	}()
	if err := os.WriteFile(filepath.Join(dir, celeryModule+".py"), celeryJob, 0o600); err != nil {
		return nil, err
	}
	q.reports, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: q.socket(), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	go q.listen()
	if q.rabbit, err = server.StartRabbitMQ(ctx, dir); err != nil {
		return nil, err
	}
	q.client, err = startCeleryClient(ctx, dir, q.command(celeryModule+".py"))
	return q, err
}

func (q *celeryQueue) socket() string { return filepath.Join(q.dir, "jobs.sock") }

// command runs Debian's interpreter where the module is.
func (q *celeryQueue) command(args ...string) *exec.Cmd {
	cmd := exec.Command(server.Python, args...)
	cmd.Dir = q.dir
	cmd.Env = append(os.Environ(), "BENCH_BROKER="+q.rabbit.URL, "BENCH_SOCKET="+q.socket(), "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

// listen counts what the worker tells until the socket is closed.
func (q *celeryQueue) listen() {
	report := make([]byte, 32)
	for {
		n, err := q.reports.Read(report)
		if err != nil {
			return
		}
		if number, err := strconv.ParseInt(string(report[:n]), 10, 64); err == nil {
			q.done(number)
			continue
		}
		select {
		case q.ready <- struct{}{}:
		default:
		}
	}
}

func (q *celeryQueue) About() load.About {
	return load.About{
		Name: "Celery, RabbitMQ", Version: q.client.version + ", RabbitMQ " + q.rabbit.Version,
		Settings: fmt.Sprintf("%d prefork processes, prefetch multiplier 128, acks_late, results ignored but for the idle latency; the client is one process of %d threads",
			celeryProcesses, load.Clients),
		Batch:  "100 apply_async one after the other: there is no call for several",
		OnDisk: "the message (durable queue, persistent, publisher confirms)",
		Stored: "nothing: the message is acknowledged; for the idle latency a persistent result message",
	}
}

func (q *celeryQueue) Submit(ctx context.Context, first int64, count int) error {
	_, err := q.client.ask(ctx, celeryRequest{Do: "submit", First: first, Count: count})
	return err
}

func (q *celeryQueue) Work(ctx context.Context) (func() error, error) {
	cmd := q.command("-m", "celery", "-A", celeryModule, "worker", "--pool", "prefork", "--concurrency", strconv.Itoa(celeryProcesses),
		"--loglevel", "ERROR", "--without-gossip", "--without-mingle")
	worker, err := server.Start(q.dir, "worker", cmd, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	err = worker.Ready(ctx, func(context.Context) error {
		select {
		case <-q.ready:
			return nil
		default:
			return errors.New("the worker has not said that it is ready")
		}
	})
	stop := func() error {
		worker.Stop()
		return nil
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// Unfinished asks for messages that no worker holds yet: those of a worker are acknowledged as
// soon as their jobs have run, which is what the ledger counts.
func (q *celeryQueue) Unfinished(ctx context.Context) (bool, error) {
	a, err := q.client.ask(ctx, celeryRequest{Do: "waiting"})
	return a.Waiting > 0, err
}

// Finished counts what is not in the queue; what was not acknowledged is back in it.
func (q *celeryQueue) Finished(ctx context.Context, submitted int64) (int64, error) {
	a, err := q.client.ask(ctx, celeryRequest{Do: "waiting"})
	return submitted - a.Waiting, err
}

// RoundTrip is timed by the client itself.
func (q *celeryQueue) RoundTrip(ctx context.Context, number int64) (time.Duration, error) {
	a, err := q.client.ask(ctx, celeryRequest{Do: "round_trip", First: number})
	return time.Duration(a.Seconds * float64(time.Second)), err
}

func (q *celeryQueue) Close() error {
	if q.client != nil {
		q.client.process.Stop()
	}
	if q.rabbit != nil {
		q.rabbit.Stop()
	}
	if q.reports != nil {
		return q.reports.Close()
	}
	return nil
}

type celeryRequest struct {
	ID    int64  `json:"id"`
	Do    string `json:"do"`
	First int64  `json:"first"`
	Count int    `json:"count"`
}

type celeryAnswer struct {
	ID      int64   `json:"id"`
	Version string  `json:"version"`
	Seconds float64 `json:"seconds"`
	Waiting int64   `json:"waiting"`
	Error   string  `json:"error"`
}

// celeryClient is the process that submits: it takes requests on its standard input and answers
// them in any order.
type celeryClient struct {
	process *server.Process
	version string

	mu      sync.Mutex
	input   io.Writer
	last    int64
	waiting map[int64]chan celeryAnswer
}

func startCeleryClient(ctx context.Context, dir string, cmd *exec.Cmd) (*celeryClient, error) {
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, answers := io.Pipe()
	cmd.Stdout = answers
	hello := make(chan celeryAnswer, 1)
	c := &celeryClient{input: input, waiting: map[int64]chan celeryAnswer{0: hello}}
	if c.process, err = server.Start(dir, "client", cmd, syscall.SIGTERM); err != nil {
		return nil, err
	}
	go c.read(output)
	go func() {
		<-c.process.Ended()
		_ = answers.Close() // which ends the reader
	}()
	err = c.process.Ready(ctx, func(context.Context) error {
		select {
		case a := <-hello:
			c.version = a.Version
			return nil
		default:
			return errors.New("the client has not said that it is ready")
		}
	})
	if err != nil {
		c.process.Stop()
		return nil, err
	}
	return c, nil
}

// read hands answers to those who wait for them.
func (c *celeryClient) read(output io.ReadCloser) {
	defer output.Close()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var a celeryAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			continue // something in Python that prints
		}
		c.mu.Lock()
		to := c.waiting[a.ID]
		delete(c.waiting, a.ID)
		c.mu.Unlock()
		if to != nil {
			to <- a
		}
	}
}

// ask sends a request and waits for its answer.
func (c *celeryClient) ask(ctx context.Context, r celeryRequest) (celeryAnswer, error) {
	answer := make(chan celeryAnswer, 1)
	if err := c.send(&r, answer); err != nil {
		return celeryAnswer{}, err
	}
	select {
	case a := <-answer:
		if a.Error != "" {
			return a, fmt.Errorf("%s: %s", r.Do, a.Error)
		}
		return a, nil
	case <-c.process.Ended():
		return celeryAnswer{}, errors.New("the client has ended")
	case <-ctx.Done():
		return celeryAnswer{}, context.Cause(ctx)
	}
}

func (c *celeryClient) send(r *celeryRequest, answer chan celeryAnswer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	r.ID = c.last
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c.waiting[r.ID] = answer
	_, err = c.input.Write(append(line, '\n'))
	return err
}
