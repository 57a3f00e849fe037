package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func TestWaitReason(t *testing.T) {
	ready := task.ExecutorStatus{State: task.ExecutorReady}
	fleet := func(nodes ...sdk.Node) sdk.Info {
		return sdk.Info{Deferred: true, Types: []sdk.TypeInfo{{Name: "import"}, {Name: "other"}}, Nodes: nodes}
	}
	node := func(name string, labels ...string) sdk.Node {
		n := sdk.Node{Name: name, Types: []string{"import"}, Slots: 1, Labels: map[string]string{}}
		for _, l := range labels {
			k, v, _ := strings.Cut(l, "=")
			n.Labels[k] = v
		}
		return n
	}
	drains, left := node("w1", "zone=b"), node("w9", "zone=b")
	drains.Draining, left.Gone = true, true
	zoneB := map[string]string{"zone": "b"}
	many := map[string]string{}
	for i := range 8 {
		many[fmt.Sprintf("l%d", i)] = "x"
	}
	for name, c := range map[string]struct {
		executor string
		status   task.ExecutorStatus
		info     sdk.Info
		route    map[string]string
		want     string
	}{
		"nobody":            {"", ready, sdk.Info{}, nil, `no executor offers task type "import"`},
		"not in the config": {"old", task.ExecutorStatus{}, sdk.Info{}, nil, `executor "old" is not in the config any more`},
		"starting":          {"x", task.ExecutorStatus{State: task.ExecutorStarting}, sdk.Info{}, nil, `executor "x" is starting`},
		"quarantined": {"x", task.ExecutorStatus{State: task.ExecutorQuarantined, Reason: "it died 5 times"}, sdk.Info{}, nil,
			`executor "x" is quarantined: it died 5 times`},
		"broker": {"x", ready, sdk.Info{Unavailable: "the broker is away"}, nil, `executor "x" can run nothing at present: the broker is away`},
		"local":  {"x", ready, sdk.Info{Types: []sdk.TypeInfo{{Name: "import"}}}, nil, ""},
		"none":   {"x", ready, fleet(), nil, `no worker of executor "x" offers task type "import"`},
		"gone":   {"x", ready, fleet(left), zoneB, `no worker of executor "x" offers task type "import"; gone is w9`},
		"there":  {"x", ready, fleet(node("w1"), node("w2", "zone=b")), zoneB, ""},
		"label":  {"x", ready, fleet(node("w1", "zone=a"), left), zoneB, `no worker of executor "x" that offers task type "import" has the label zone=b`},
		"one of two": {"x", ready, fleet(node("w1", "zone=b")), map[string]string{"zone": "b", "disk": "ssd"},
			`no worker of executor "x" that offers task type "import" has the label disk=ssd`},
		"apart": {"x", ready, fleet(node("w1", "zone=b"), node("w2", "disk=ssd")), map[string]string{"zone": "b", "disk": "ssd"},
			`no worker of executor "x" that offers task type "import" has all of the labels disk=ssd, zone=b at once`},
		"draining": {"x", ready, fleet(node("w2", "zone=a"), drains), zoneB, "the workers that could run it are draining: w1"},
		"many": {"x", ready, fleet(node("w1")), many,
			`no worker of executor "x" that offers task type "import" has the label l0=x, l1=x, l2=x, l3=x, l4=x and 3 more`},
	} {
		if got := waitReason(c.executor, c.status, &c.info, "import", c.route); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
