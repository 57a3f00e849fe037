// Command embedded is a Go program with a task host of its own: no server, no config, one script.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/sdk"
)

type order struct {
	Item  string `json:"item"`
	Count int    `json:"count"`
}

func pack(_ context.Context, in order, _ sdk.Reporter) (string, error) {
	return fmt.Sprintf("%d boxes of %s", in.Count, in.Item), nil
}

func run(ctx context.Context, dir string) (err error) {
	h, err := host.Open(ctx, host.Options{DataDir: dir, Builtins: []sdk.Plugin{eventlet.Plugin("1", eventlet.FactoryOf(sdk.Func("pack", pack)))}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	tasks, _, err := h.Tasks().Submit(ctx, host.DefaultScope(), []task.Spec{{Type: "pack", Input: []byte(`{"item": "apples", "count": 3}`)}}, nil)
	if err != nil {
		return err
	}
	done, err := h.Tasks().Wait(ctx, host.DefaultScope(), tasks[0].ID)
	fmt.Println(done.State, string(done.Result))
	return err
}

func main() {
	if err := run(context.Background(), os.TempDir()+"/embedded"); err != nil {
		log.Fatal(err)
	}
}
