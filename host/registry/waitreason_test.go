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
	of := func(version string, n sdk.Node) sdk.Node {
		n.TypeVersions = map[string]string{"import": version}
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
		if got := waitReason(c.executor, c.status, &c.info, want{"import", c.route, ""}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	offers := func(version string) sdk.Info {
		return sdk.Info{Types: []sdk.TypeInfo{{Name: "import", Version: version}}}
	}
	for name, c := range map[string]struct {
		info  sdk.Info
		route map[string]string
		want  string
	}{
		"new enough":     {offers("2.0.0"), nil, ""},
		"too old":        {offers("1.9.0"), nil, `executor "x" offers task type "import" in version 1.9.0, and 2.0.0 or newer is wanted`},
		"no version":     {offers(""), nil, `executor "x" offers task type "import" without telling its version, and 2.0.0 or newer is wanted`},
		"a new worker":   {fleet(node("w0"), of("1.0.0", node("w1")), of("2.1.0", node("w2"))), nil, ""},
		"old workers":    {fleet(node("w0"), of("1.9.0", node("w1")), of("1.10.0", node("w2"))), nil, `no worker of executor "x" that offers task type "import" is of version 2.0.0 or newer; the newest is 1.10.0`},
		"none tells":     {fleet(node("w0")), nil, `no worker of executor "x" that offers task type "import" is of version 2.0.0 or newer; none tells its version`},
		"new, elsewhere": {fleet(of("1.0.0", node("w1", "zone=b")), of("2.0.0", node("w2", "zone=a"))), zoneB, `no worker of executor "x" that offers task type "import" and has its labels is of version 2.0.0 or newer; the newest is 1.0.0`},
		"new, drains":    {fleet(of("1.0.0", node("w2", "zone=b")), of("2.0.0", drains)), zoneB, "the workers that could run it are draining: w1"},
		"no labels":      {fleet(of("2.0.0", node("w1"))), zoneB, `no worker of executor "x" that offers task type "import" has the label zone=b`},
	} {
		if got := waitReason("x", ready, &c.info, want{"import", c.route, "2.0.0"}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
