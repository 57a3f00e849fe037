package main

import (
	"reflect"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// Each flag that selects tasks counts as a selection, and alone reaches the query of a list
// and the filter of an action: one that got lost would have them at all tasks.
func TestEveryFilterFlagReachesTheServer(t *testing.T) {
	id := task.ID{1}.String()
	values := map[string]string{"state": "failed", "type": "a", "executor": "a", "owner": "a", "key": "a", "group": id, "parent": id, "label": "a=b",
		"created-after": "1h", "created-before": "1h", "finished-after": "1h", "finished-before": "1h"}
	p := &program{}
	var names []string
	all := &cobra.Command{Use: "x"}
	(&filterFlags{}).add(p, all)
	all.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if len(names) != len(values) {
		t.Fatalf("the flags are %q: give each a value here", names)
	}
	for _, name := range names {
		var flags filterFlags
		cmd := &cobra.Command{Use: "x"}
		flags.add(p, cmd)
		if err := cmd.ParseFlags([]string{"--" + name + "="}); err == nil {
			t.Errorf("--%s takes an empty value", name)
		}
		if err := cmd.ParseFlags([]string{"--" + name + "=" + values[name]}); err != nil {
			t.Fatal(err)
		}
		f, err := flags.filter(t.Context(), nil)
		if err != nil {
			t.Fatalf("--%s: %v", name, err)
		}
		if !flags.given(cmd) {
			t.Errorf("--%s does not count as a selection", name)
		}
		if q := api.ListQuery(f); len(q) != 1 {
			t.Errorf("--%s: the query of a list is %q", name, q.Encode())
		}
		if reflect.ValueOf(api.ActionFilterOf(f)).IsZero() {
			t.Errorf("--%s: the filter of an action is empty", name)
		}
	}
	var none filterFlags
	if f, err := none.filter(t.Context(), nil); err != nil || !reflect.DeepEqual(api.ActionFilterOf(f), api.ActionFilter{}) {
		t.Errorf("of no flag: %+v, %v", f, err)
	}
}
