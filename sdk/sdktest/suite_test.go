package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// Of typed functions the suite tries all that a script can do, without scripts of its own.
func TestTyped(t *testing.T) { testConformance(t) }

// With scripts of the suite's beside them, what the author names goes first, and all cases apply.
func TestBoth(t *testing.T) {
	sdktest.Run(t, sdktest.Harness{
		Plugin: sdk.Plugin{Name: "both", Version: "1", New: sdk.Scripts(append(sdktest.Scripts(), sdk.Func("walk", walk))...)},
		Type:   "walk", Input: `{}`,
		Checkpoint: sdktest.Case{Type: "walk", Input: `{"steps":9}`},
		Probes:     true,
	})
}

// nodal is an executor with two nodes that can be drained.
type nodal struct {
	sdk.Executor
	mu      sync.Mutex
	drained map[string]bool
}

func newNodal(cfg sdk.Config) (sdk.Executor, error) {
	e, err := sdk.Scripts(sdk.Func("greet", func(context.Context, struct{}, sdk.Reporter) (string, error) { return "hello", nil }))(cfg)
	return &nodal{Executor: e, drained: map[string]bool{"n1": false, "n2": false}}, err
}

func (n *nodal) Describe(ctx context.Context) (sdk.Info, error) {
	info, err := n.Executor.Describe(ctx)
	info.ControlsNodes = true
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, drained := range n.drained {
		info.Nodes = append(info.Nodes, sdk.Node{Name: name, Slots: 1, Draining: drained})
	}
	return info, err
}

func (n *nodal) ControlNode(_ context.Context, node, action string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.drained[node]; !ok {
		return fmt.Errorf("%w: %q", sdk.ErrUnknownNode, node)
	}
	if action != "drain" && action != "resume" {
		return fmt.Errorf("%w: %q", sdk.ErrUnknownAction, action)
	}
	if n.drained[node] == (action == "drain") {
		return fmt.Errorf("%w: it is so", sdk.ErrNodeUnchanged)
	}
	n.drained[node] = action == "drain"
	return nil
}

// Nodes are described and controlled alike, whether the executor is called directly or through gRPC.
func TestNodes(t *testing.T) {
	sdktest.Run(t, sdktest.Harness{
		Plugin: sdk.Plugin{Name: "nodal", Version: "1", New: newNodal},
		Type:   "greet", Input: `{}`, Many: 10,
		Ready: func(t *testing.T, e sdk.Executor) {
			c := e.(sdk.NodeController)
			draining := func(node string) bool {
				info, err := e.Describe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range info.Nodes {
					if n.Name == node {
						return n.Draining
					}
				}
				t.Fatalf("node %q is gone: %+v", node, info.Nodes)
				return false
			}
			for _, step := range []struct {
				action string
				want   bool
			}{{"drain", true}, {"resume", false}} {
				if err := c.ControlNode(t.Context(), "n1", step.action); err != nil {
					t.Fatal(err)
				}
				if draining("n1") != step.want || draining("n2") {
					t.Errorf("after %s: n1 draining %v, n2 draining %v", step.action, draining("n1"), draining("n2"))
				}
				if err := c.ControlNode(t.Context(), "n1", step.action); !errors.Is(err, sdk.ErrNodeUnchanged) {
					t.Errorf("%s of one that is so already: %v", step.action, err)
				}
			}
		},
	})
}
