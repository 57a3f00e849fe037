// Command deaf-plugin serves attempts that do not stop when they are told to.
package main

import (
	"context"
	"syscall"

	"github.com/taskhost/taskhost/sdk"
)

func main() {
	sdk.Serve(sdk.Plugin{Name: "deaf", Version: "1", New: sdk.Scripts(
		// ignores its context
		sdk.Func("deaf", func(_ context.Context, _ struct{}, r sdk.Reporter) (int, error) {
			r.Progress(1, 0, "running")
			select {}
		}),
		// never gives its thread back
		sdk.Func("busy", func(_ context.Context, _ struct{}, r sdk.Reporter) (int, error) {
			r.Progress(1, 0, "running")
			for {
			}
		}),
		// runs until it is told to stop, in a process that somebody stops
		sdk.Func("frozen", func(ctx context.Context, _ struct{}, r sdk.Reporter) (int, error) {
			r.Progress(int64(syscall.Getpid()), 0, "running")
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}),
	)})
}
