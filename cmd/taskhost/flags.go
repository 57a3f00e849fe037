package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taskhost/taskhost/host/task"
)

// firstGiven is the first of those flags that was given; "" if none was.
func firstGiven(cmd *cobra.Command, names []string) string {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

// refuseEmpty has flags take no empty value, where that would be as if they were not given: what
// a script leaves unset (--group "$GROUP") would select everything, or guard nothing.
func refuseEmpty(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		f.Value = filledValue{f.Value}
		if f.DefValue == "[]" { // which pflag knows as no default by the value's type, hidden now
			f.DefValue = ""
		}
	}
}

// filledValue is the value of a flag that is not empty once it is set, nor in any part of a list.
type filledValue struct{ pflag.Value }

func (v filledValue) Set(s string) error {
	parts := []string{s}
	if v.Type() == "stringSlice" {
		parts = strings.Split(s, ",")
	}
	if slices.Contains(parts, "") {
		return errors.New("it is empty: give it a value, or leave it out")
	}
	return v.Value.Set(s)
}

// freeText are the arguments, as the usage of commands calls them, that may be empty.
var freeText = []string{"DATA|@FILE|-", "LINE", "MESSAGE", "REASON"}

// checkArgs refuses an empty argument where one names something: of a path it would be no
// part, and of a list no filter.
func checkArgs(cmd *cobra.Command, args []string) error {
	names := strings.Fields(cmd.Use)[1:]
	i := slices.Index(args, "")
	if i < 0 || len(names) == 0 || strings.HasPrefix(cmd.Name(), "__") { // what completes an empty word
		return nil
	}
	name := strings.Trim(names[min(i, len(names)-1)], "[].")
	if slices.Contains(freeText, name) {
		return nil
	}
	return usagef("argument %d of %s is empty: it wants %s", i+1, cmd.CommandPath(), name)
}

// pastTime reads a time, or how long ago that was.
func pastTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	return parseTime(flag, s)
}

// futureTime reads a time, or how long until then.
func futureTime(flag, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		t := time.Now().Add(d).UTC()
		return &t, nil
	}
	t, err := parseTime(flag, s)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// parseTime reads the time that a flag was given, where that may also be a duration.
func parseTime(flag, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, usagef("%s %s: want a time such as 2026-11-23T12:00:00Z, or a duration such as 10m", flag, s)
	}
	if !task.ValidTime(t) {
		return t, usagef("%s %s is not %s", flag, s, task.TimeRange)
	}
	return t, nil
}

// parsePairs reads name=value flags.
func parsePairs(flag string, values []string) (map[string]string, error) {
	if len(values) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usagef("%s %s: want name=value", flag, v)
		}
		out[name] = value
	}
	return out, nil
}

func finalStates() []task.State {
	return slices.DeleteFunc(task.States(), func(s task.State) bool { return !s.Final() })
}

func stateList() []string {
	var out []string
	for _, s := range task.States() {
		out = append(out, s.String())
	}
	return out
}
