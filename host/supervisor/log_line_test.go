package supervisor

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// What a plugin process prints goes to the log at its own level, whatever logger it uses.
func TestLevelsOfPrintedLines(t *testing.T) {
	for text, want := range map[string]string{
		`{"@level":"warn","@message":"low on fuel","@timestamp":"2026-11-26T10:00:00Z","@module":"p","litres":3}`: "[WARN]  low on fuel: module=p litres=3",
		`{"time":"2026-11-26T10:00:00Z","level":"ERROR","msg":"out of fuel","at":{"km":[1]}}`:                     `[ERROR] out of fuel: at="{\"km\":[1]}"`,
		`{"level":"warning","message":"low","ts":1}`:                                                              "[WARN]  low: ts=1",
		`{"@level":"off","@message":"m"}`:                                                                         "[INFO]  m",
		`{"level":"error"}`:                                                                                       `[INFO]  {"level":"error"}`,
		`{"msg":"one"} {"msg":"two"}`:                                                                             `[INFO]  {"msg":"one"} {"msg":"two"}`,
		`time=2026-11-26T10:00:00Z level=WARN msg=low`:                                                            "[WARN]  time=2026-11-26T10:00:00Z level=WARN msg=low",
		"2026/11/26 10:00:00 WARN low litres=3":                                                                   "[WARN]  2026/11/26 10:00:00 WARN low litres=3",
		"WARNING:root:low":                                                                                        "[WARN]  WARNING:root:low",
		"[DEBUG] looking":                                                                                         "[DEBUG] [DEBUG] looking",
		"CRITICAL:root:out":                                                                                       "[ERROR] CRITICAL:root:out",
		"panic: out":                                                                                              "[ERROR] panic: out",
		"Traceback (most recent call last):":                                                                      "[ERROR] Traceback (most recent call last):",
		"ERRORS are none":                                                                                         "[INFO]  ERRORS are none",
		"HELLO there":                                                                                             "[INFO]  HELLO there",
		"on we go":                                                                                                "[INFO]  on we go",
	} {
		var out bytes.Buffer
		l := parseLine(text)
		hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true, Level: hclog.Trace}).Log(l.level, l.message, l.args...)
		if got := strings.TrimSuffix(out.String(), "\n"); got != want {
			t.Errorf("%s\n is logged as %s\n       want %s", text, got, want)
		}
	}
}

// Where the log is JSON, what a plugin logged keeps its types.
func TestPrintedFieldsKeepTheirTypes(t *testing.T) {
	var out bytes.Buffer
	l := parseLine(`{"@level":"info","@message":"m","n":3,"ok":true,"list":["a",{"b":1}],"none":null}`)
	hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: true, DisableTime: true}).Log(l.level, l.message, l.args...)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(got); err != nil || string(text) != `{"@level":"info","@message":"m","list":["a",{"b":1}],"n":3,"none":null,"ok":true}` {
		t.Errorf("%s, %v", text, err)
	}
}

// An error that quotes the end of what was printed quotes it as people read it.
func TestPrintedLinesInErrors(t *testing.T) {
	o := newOutput(hclog.NewNullLogger())
	defer o.end()
	o.read(strings.NewReader(`{"@level":"warn","@message":"low on fuel","@module":"p","@timestamp":"2026-11-26T10:00:00Z","at":{"km":[1]},"why":"a\nb\u202e"}` +
		"\nWARNING:root:out\r\n"))
	if got, want := o.tailText(), `
  [WARN] low on fuel module=p at={"km":[1]} why=a\nb\u202e
  WARNING:root:out`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
