package sdktest_test

import (
	"context"
	"fmt"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

// An executor that hosts scripts runs those of the suite beside its own, and its harness sets
// Probes. Here it is that of the SDK.
func ExampleScripts() {
	own := sdk.Func("double", func(_ context.Context, n int, _ sdk.Reporter) (int, error) { return 2 * n, nil })
	harness := sdktest.Harness{
		Plugin: sdk.Plugin{Name: "doubles", Version: "1.0.0", New: sdk.Scripts(append(sdktest.Scripts(), own)...)},
		Type:   "double", Input: "21",
		Probes: true,
	}
	executor, err := harness.Plugin.New(sdk.NewConfig("doubles", nil, nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := sdk.Execute(context.Background(), executor, sdk.Task{Type: harness.Type, Input: []byte(harness.Input)},
		sdk.NewReporter(sdk.ReporterFuncs{}))
	fmt.Println(string(result.Data), err)
	// Output: 42 <nil>
}
