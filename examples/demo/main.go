// Command demo does taskhost's main job on real input, with the real program: it
// imports disk images with each kind of executor, shows progress while it does,
// and checks every byte. It exits 0 only if all is as it should be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func main() {
	bin := flag.String("bin", "bin", "where taskhost and plugins/ are")
	images := flag.String("images", "examples/images", "where the small images are")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := run(ctx, *bin, *images); err != nil {
		fmt.Fprintln(os.Stderr, "demo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, images string) (err error) {
	dir, err := os.MkdirTemp("", "taskhost-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	web, err := serveImages(dir, images)
	if err != nil {
		return err
	}
	defer web.close()

	host, err := startHost(ctx, bin, dir, images, web.port)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.stop()) }()
	worker, err := startWorker(bin, dir, images, web.port)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.stop()) }()
	fmt.Printf("a host at %s, its worker, and a web server with the images on port %d\n\n", host.addr, web.port)

	c, err := client.New(host.addr, "")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := awaitExecutors(ctx, c); err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, host.output(), worker.output())
	}
	rows, err := importAll(ctx, c, web.sources)
	if err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, host.output(), worker.output())
	}
	return report(rows)
}

// way is one kind of executor.
type way struct{ executor, what string }

var ways = [...]way{
	{"local", "goroutines in the host"},
	{"images", "a process of its own, over go-plugin gRPC"},
	{"fleet", "a worker behind the embedded broker"},
}

// awaitExecutors waits until each offers import.
func awaitExecutors(ctx context.Context, c *client.Client) error {
	for {
		all, err := c.Executors(ctx)
		if err != nil {
			return err
		}
		ready := 0
		for _, x := range all {
			for _, typ := range x.Types {
				if typ == "import" && x.State == task.ExecutorReady {
					ready++
				}
			}
		}
		if ready == len(ways) {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond): // another process: nothing to wait on
		case <-ctx.Done():
			return fmt.Errorf("only %d of %d executors are ready", ready, len(ways))
		}
	}
}

// row is one line of the table.
type row struct {
	source source
	way    way
	task   api.Task
	image  imported
	err    error
}

func importAll(ctx context.Context, c *client.Client, sources []source) ([]row, error) {
	var rows []row
	for _, w := range ways {
		fmt.Printf("%s: %s\n", w.executor, w.what)
		batch := make([]row, len(sources))
		var wg sync.WaitGroup
		for i, src := range sources {
			wg.Go(func() { batch[i] = importOne(ctx, c, src, w) })
		}
		wg.Wait()
		rows = append(rows, batch...)
	}
	for _, r := range rows {
		if r.err != nil {
			return rows, fmt.Errorf("%s on %s: %w", r.source.name, r.way.executor, r.err)
		}
	}
	return rows, nil
}

func report(rows []row) error {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tIMAGE\tEXECUTOR\tSTATE\tFORMAT\tSIZE\tSHA256\tTIME")
	bad := 0
	for _, r := range rows {
		same := "matches"
		if err := r.check(); err != nil {
			same, bad = err.Error(), bad+1
		}
		took := "-"
		if r.task.FinishedAt != nil && r.task.StartedAt != nil {
			took = r.task.FinishedAt.Sub(*r.task.StartedAt).Round(time.Millisecond).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%.12s… %s\t%s\n", r.task.ID, r.source.name, r.way.executor, r.task.State, r.image.Format, r.image.Size, r.image.Checksums.SHA256, same, took)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d images are not as they should be", bad, len(rows))
	}
	fmt.Printf("\n%d images imported %d ways, every checksum as at the source\n", len(rows)/len(ways), len(ways))
	return nil
}
