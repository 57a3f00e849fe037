package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/taskhost/taskhost/host/task"
)

var (
	blockName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	typeName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`)
)

func (d *decoder) executors(content *hcl.BodyContent) []task.ExecutorConfig {
	var out []task.ExecutorConfig
	for _, b := range content.Blocks.OfType("executor") {
		x := task.ExecutorConfig{Name: b.Labels[0], OnHostExit: task.OnHostExitDie}
		path := "executor." + x.Name
		d.source.at[path] = b.DefRange
		if !blockName.MatchString(x.Name) {
			d.fault(b.LabelRanges[0], "Not a name for an executor", "A name is 1 to 63 letters, digits, '.', '_' or '-', and begins with a letter or digit.")
		}
		inner := d.body(b.Body, path, []hcl.BlockHeaderSchema{{Type: "config"}}, executorSetters(&x))
		if _, ok := inner.Attributes["plugin"]; !ok {
			d.fault(b.DefRange, "An executor needs a plugin", "Set plugin = \"…\": a built-in such as \"eventlet-style\", or the name of a file in plugin_dir.")
		}
		for i, c := range inner.Blocks {
			if i > 0 {
				d.fault(c.DefRange, "A second config block", "An executor has one.")
				continue
			}
			x.Config = d.attributes(c, path+".config")
		}
		out = append(out, x)
	}
	d.refuseSecond(content.Blocks, "executor")
	return out
}

func executorSetters(x *task.ExecutorConfig) map[string]setter {
	return map[string]setter{
		"plugin": text(&x.Plugin), "sha256": sha256sum(&x.SHA256), "slots": count(&x.Slots, 1, 1_000_000),
		"on_host_exit": onHostExit(&x.OnHostExit),
	}
}

func (d *decoder) taskType(b *hcl.Block, executors []task.ExecutorConfig) TaskType {
	t := TaskType{Name: b.Labels[0]}
	path := "task_type." + t.Name
	d.source.at[path] = b.DefRange
	if !typeName.MatchString(t.Name) {
		d.fault(b.LabelRanges[0], "Not a name for a task type", "A name is 1 to 100 letters, digits, '.', '_' or '-', and begins with a letter.")
	}
	inner := d.body(b.Body, path, nil, typeSetters(&t.TypeConfig))
	if a := inner.Attributes["executor"]; a != nil && t.Executor != "" && !slices.ContainsFunc(executors, func(x task.ExecutorConfig) bool { return x.Name == t.Executor }) {
		names := make([]string, len(executors))
		quoted := make([]string, len(executors))
		for i, x := range executors {
			names[i] = x.Name
			quoted[i] = strconv.Quote(x.Name)
		}
		hint := ""
		if near := task.Nearest(t.Executor, names); near != "" {
			hint = fmt.Sprintf(" Did you mean %q?", near)
		}
		d.fault(a.Expr.Range(), "No such executor", fmt.Sprintf("No executor block is named %q; there are: %s.%s", t.Executor, strings.Join(quoted, ", "), hint))
	}
	return t
}

func typeSetters(t *task.TypeConfig) map[string]setter {
	return map[string]setter{
		"executor": text(&t.Executor), "timeout": duration(&t.Timeout), "max_attempts": count(&t.MaxAttempts, 1, 1000),
		"max_lost": optional(&t.MaxLost, func(n *int) setter { return count(n, 0, 1000) }), "retain": optional(&t.Retain, durationOrZero),
		"queue_limit": count(&t.QueueLimit, 1, math.MaxInt32), "max_input": size(&t.MaxInput), "priority": count(&t.Priority, -1000, 1000),
		"deadline": duration(&t.Deadline), "max_result": size(&t.MaxResult), "concurrency": concurrency(&t.Concurrency), "rate": optional(&t.Rate, rate),
		"route": textMap((*map[string]string)(&t.Route)), "min_version": semanticVersion(&t.MinVersion), "backoff": duration(&t.Backoff.Initial), "backoff_max": duration(&t.Backoff.Max),
	}
}
