// Command noop-plugin serves noop from a process of its own, for the benchmarks.
package main

import (
	"github.com/taskhost/taskhost/sdk"

	"context"
)

func main() {
	noop := sdk.Script{TypeInfo: sdk.TypeInfo{Name: "noop"}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{}, nil
	}}
	sdk.Serve(sdk.Plugin{Name: "noop", Version: "bench", New: sdk.Scripts(noop)})
}
