package supervisor

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// logLine is a line that a process printed, as it goes to the host's log.
type logLine struct {
	level   hclog.Level
	message string
	args    []any
	written bool // by a logger, in JSON: the level does not stand in the message
}

// text is the line as people read it where the log is not at hand, say in an error.
func (l logLine) text() string {
	if !l.written {
		return l.message
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s", strings.ToUpper(l.level.String()), l.message)
	for i := 0; i+1 < len(l.args); i += 2 {
		fmt.Fprintf(&b, " %v=%s", l.args[i], Printable(fmt.Sprint(l.args[i+1])))
	}
	return b.String()
}

// parseLine reads a line as loggers write it, in JSON or as text. What names no level is
// taken as information.
func parseLine(text string) logLine {
	if strings.HasPrefix(text, "{") {
		if l, ok := parseJSON(text); ok {
			return l
		}
	}
	return logLine{level: levelOfText(text), message: Printable(text)}
}

// namedLevel finds the level in a line of text: its first word, after a time if it begins
// with one ("[WARN] ", "WARNING:root:", "2026/11/26 10:00:00 WARN "), or level=warn.
var namedLevel = regexp.MustCompile(`^(?:\d{4}[-/]\d\d[-/]\d\d[T ]\S+ +)?\[?([A-Z]{4,8})(?:[]: ]|$)|\blevel=([A-Za-z]{4,8})\b`)

func levelOfText(text string) hclog.Level {
	for _, crash := range []string{"panic: ", "fatal error: ", "Traceback (most recent call last)"} {
		if strings.HasPrefix(text, crash) {
			return hclog.Error
		}
	}
	if m := namedLevel.FindStringSubmatch(text); m != nil {
		return levelOf(m[1] + m[2])
	}
	return hclog.Info
}

// levelOf is the level that loggers call by this name.
func levelOf(name string) hclog.Level {
	switch name = strings.ToLower(name); name {
	case "warning":
		return hclog.Warn
	case "critical", "fatal", "panic":
		return hclog.Error
	}
	if l := hclog.LevelFromString(name); l != hclog.NoLevel && l != hclog.Off {
		return l
	}
	return hclog.Info
}

// jsonKeys are those by which loggers that write JSON name the message, the level and the
// time: hclog, slog, and others that do as they do.
var jsonKeys = struct{ message, level, time []string }{
	message: []string{"@message", "msg", "message"}, level: []string{"@level", "level"}, time: []string{"@timestamp", "time", "timestamp", "ts"},
}

// parseJSON reads a line of JSON that has a message; others are logged as they stand.
func parseJSON(text string) (logLine, bool) {
	var fields map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&fields) != nil || strings.TrimSpace(text[dec.InputOffset():]) != "" {
		return logLine{}, false
	}
	message, ok := takeText(fields, jsonKeys.message)
	if !ok {
		return logLine{}, false
	}
	level, _ := takeText(fields, jsonKeys.level)
	takeText(fields, jsonKeys.time) // the host's log has its own
	// Of values the log takes care itself; it writes those of several lines indented.
	l := logLine{level: levelOf(level), message: Printable(message), written: true}
	keys := make([]string, 0, len(fields))
	for k := range fields {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := fields[k]
		switch v.(type) {
		case string, json.Number, bool, nil:
		default:
			v = jsonField{v}
		}
		l.args = append(l.args, Printable(strings.TrimPrefix(k, "@")), v)
	}
	return l, true
}

// takeText takes out of fields the first of these keys that holds a text.
func takeText(fields map[string]any, keys []string) (string, bool) {
	for _, k := range keys {
		if text, ok := fields[k].(string); ok {
			delete(fields, k)
			return text, true
		}
	}
	return "", false
}

// jsonField is an object or a list in a line of the log: as JSON in text, and as what it
// is where the log is JSON.
type jsonField struct{ value any }

func (f jsonField) MarshalJSON() ([]byte, error) { return json.Marshal(f.value) }

func (f jsonField) String() string {
	data, err := f.MarshalJSON()
	if err != nil { // it came as JSON: it cannot happen
		return err.Error()
	}
	return string(data)
}
