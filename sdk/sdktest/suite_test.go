package sdktest_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

func TestMain(m *testing.M) {
	// Two that go-plugin leaves behind when a plugin is served in its host's process:
	// who reads the plugin's prints, and who waits for the process to end.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin.copyChan"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin/internal/cmdrunner.pidWait"))
}

// The plainest executor of scripts passes the whole suite.
func TestScripts(t *testing.T) {
	sdktest.Run(t, sdktest.Harness{
		Plugin: sdk.Plugin{Name: "probes", Version: "1", New: sdk.Scripts(sdktest.Scripts()...)},
		Probes: true,
	})
}

// An author who offers nothing but one type gets what can be checked with it.
func TestMinimal(t *testing.T) {
	type in struct {
		Name string `json:"name"`
	}
	greet := sdk.Func("greet", func(_ context.Context, i in, _ sdk.Reporter) (string, error) {
		return "Hello, " + i.Name, nil
	})
	sdktest.Run(t, sdktest.Harness{
		Plugin: sdk.Plugin{Name: "hello", Version: "1", New: sdk.Scripts(greet)},
		Type:   "greet", Input: `{"name":"you"}`,
	})
}
