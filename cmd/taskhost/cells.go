package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// orDash is s, or a dash where a column would be empty.
func orDash(s *string) string {
	if s == nil || *s == "" {
		return "-"
	}
	return *s
}

// shortID is as much of an id as tells tasks apart; it is accepted like the whole.
func shortID(id string) string { return id[:min(len(id), task.IDBeginning)] }

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// timeText is t in the local time; "" for none.
func timeText(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000 MST")
}

// tableTime is t in the local time, without the zone, for which a table has no room.
func tableTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") }

// clockTime is the time of day of t in the local time.
func clockTime(t time.Time) string { return t.Local().Format("15:04:05.000") }

// age is how long ago t was, in the unit that says most.
func age(t time.Time) string {
	d := max(time.Since(t), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// indentedJSON is raw for people to read; "" for null.
func indentedJSON(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	return b.String()
}

// slotText is how many slots are used, of how many.
func slotText(s api.Slots) string { return fmt.Sprintf("%d/%d", s.Used, s.Max) }

// sizeText is a number of bytes in the unit that says most.
func sizeText(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	size := float64(n)
	unit := ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if size /= 1024; size < 1024 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

// labelText is labels as name=value, in order.
func labelText(m map[string]string) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, " ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
