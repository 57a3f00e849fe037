package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/taskhost/taskhost/bench/load"
	"github.com/taskhost/taskhost/bench/server"
)

const (
	asynqType  = "job"
	asynqQueue = "default"
)

// asynqRedis is asynq over a Redis server.
type asynqRedis struct {
	about     load.About
	servers   int // which work in this process
	redis     *server.Redis
	opts      asynq.RedisClientOpt
	client    *asynq.Client
	inspector *asynq.Inspector
	done      func(int64)
}

// openAsynq has several servers work: each fetches one job after the other, so that one alone
// waits for Redis most of the time, and longer where that waits for the disk.
func openAsynq(name, appendfsync string, servers int) func(context.Context, string, func(int64)) (load.Queue, error) {
	return func(ctx context.Context, dir string, done func(int64)) (load.Queue, error) {
		version, _, err := module(ctx, "github.com/hibiken/asynq")
		if err != nil {
			return nil, err
		}
		r, err := server.StartRedis(ctx, dir, appendfsync)
		if err != nil {
			return nil, err
		}
		opts := asynq.RedisClientOpt{Addr: r.Addr, PoolSize: load.Clients}
		onDisk := "the job in the append-only file, fsynced (appendfsync always)"
		if appendfsync == "everysec" {
			onDisk = "nothing yet: the append-only file is fsynced every second"
		}
		return &asynqRedis{redis: r, servers: servers, opts: opts, client: asynq.NewClient(opts), inspector: asynq.NewInspector(opts), done: done,
			about: load.About{
				Name: name, Version: version + ", Redis " + r.Version,
				Settings: fmt.Sprintf("%d servers of Concurrency %d, TaskCheckInterval %s", servers, slots/servers, load.Poll),
				Batch:    "100 Enqueue one after the other: there is no call for several", OnDisk: onDisk,
				Stored: "a count: the job is deleted (the default)",
			}}, nil
	}
}

func (q *asynqRedis) About() load.About { return q.about }

func (q *asynqRedis) Submit(ctx context.Context, first int64, count int) error {
	for _, n := range numbers(first, count) {
		if _, err := q.client.EnqueueContext(ctx, asynq.NewTask(asynqType, payload(n))); err != nil {
			return err
		}
	}
	return nil
}

func (q *asynqRedis) Work(context.Context) (stop func() error, err error) {
	handler := asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		var j job
		if err := json.Unmarshal(t.Payload(), &j); err != nil {
			return err
		}
		q.done(j.Number)
		return nil
	})
	var started []*asynq.Server
	stop = func() error {
		for _, s := range started {
			s.Shutdown()
		}
		return nil
	}
	for range q.servers {
		s := asynq.NewServer(q.opts, asynq.Config{Concurrency: slots / q.servers, TaskCheckInterval: load.Poll, LogLevel: asynq.ErrorLevel})
		if err := s.Start(handler); err != nil {
			return nil, errors.Join(err, stop())
		}
		started = append(started, s)
	}
	return stop, nil
}

func (q *asynqRedis) Unfinished(context.Context) (bool, error) {
	info, err := q.inspector.GetQueueInfo(asynqQueue)
	return err == nil && info.Size > 0, err
}

func (q *asynqRedis) Finished(context.Context, int64) (int64, error) {
	info, err := q.inspector.GetQueueInfo(asynqQueue)
	if err != nil {
		return 0, err
	}
	return int64(info.ProcessedTotal - info.FailedTotal), nil
}

func (q *asynqRedis) RoundTrip(ctx context.Context, number int64) (time.Duration, error) {
	return timed(func() error {
		info, err := q.client.EnqueueContext(ctx, asynq.NewTask(asynqType, payload(number)))
		if err != nil {
			return err
		}
		return until(ctx, func(context.Context) (bool, error) {
			_, err := q.inspector.GetTaskInfo(asynqQueue, info.ID)
			if errors.Is(err, asynq.ErrTaskNotFound) {
				return true, nil
			}
			return false, err
		})
	})
}

func (q *asynqRedis) Close() error {
	err := errors.Join(q.client.Close(), q.inspector.Close())
	q.redis.Stop()
	return err
}
