package scripts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/sdk"
)

func run(t *testing.T, s sdk.Script, input string) sdk.Outcome {
	t.Helper()
	res, err := s.Run(t.Context(), sdk.Task{ID: "a-task", Type: s.Name, Attempt: 3, Input: json.RawMessage(input)}, sdk.NewReporter(sdk.ReporterFuncs{}))
	return sdk.OutcomeOf(t.Context(), res, err)
}

// A host with no config at all has all of them.
func TestAllNeedNoConfig(t *testing.T) {
	cfg := sdk.NewConfig("local", nil, nil)
	cfg.DataDir = t.TempDir()
	e, err := eventlet.Plugin("test", All()...).New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	info, err := e.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ti := range info.Types {
		names = append(names, ti.Name)
		if ti.Input != nil && !json.Valid(ti.Input) || ti.Result != nil && !json.Valid(ti.Result) || ti.Description == "" {
			t.Errorf("%s: %+v", ti.Name, ti)
		}
		if ti.Revertible != (ti.Name == "import" || ti.Name == "noop") {
			t.Errorf("%s: revertible is %v", ti.Name, ti.Revertible)
		}
	}
	if !slices.Equal(names, []string{"import", "http", "noop", "sleep", "sum"}) {
		t.Error(names)
	}
	for _, config := range []string{`{"scripts": {"import": {"x": 1}}}`, `{"scripts": {"http": {"x": 1}}}`, `{"scripts": {"sum": {"x": 1}}}`} {
		if _, err := eventlet.Plugin("test", All()...).New(cfg.Sub([]byte(config))); err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// What a killed import left is removed once the host asks what there is, and not when
// a config is checked.
func TestImportSweeps(t *testing.T) {
	cfg := sdk.NewConfig("local", nil, nil)
	cfg.DataDir = t.TempDir()
	images := filepath.Join(cfg.DataDir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(images, ".01990f4e-cccc-7000-8000-000000000001.1."+sdk.Token{1}.String()+".part")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(left, long, long); err != nil {
		t.Fatal(err)
	}
	p := eventlet.Plugin("test", All()...)
	if err := p.Check(cfg); err != nil {
		t.Fatal(err)
	}
	e, err := p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Error(err)
	}
	if _, err := e.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.(io.Closer).Close() }()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(left); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it is still there")
		}
	}
}

func TestSum(t *testing.T) {
	const not = "Input must be a sequence of numbers!"
	for input, want := range map[string]string{
		"[1,2,3,4,5]": "15.0", "[]": "0.0", "[0.5]": "0.5", "[ 1 , -1 ]": "0.0", "[-0.0]": "0.0", "[-1.25]": "-1.25",
		"[1e16]": "1e+16", "[1e15]": "1000000000000000.0", "[123456789012345678]": "1.2345678901234568e+17", "[0.0001]": "0.0001",
		"[0.00001]": "1e-05", "[1.5e300]": "1.5e+300", "[1e999]": "inf", "[-1e999]": "-inf", "[1e999,-1e999]": "nan", "[0.1,0.2]": "0.30000000000000004",
		"null": not, "{}": not, "1": not, `"1"`: not, `[1,"2"]`: not, "[true]": not, "[null]": not, "[[1]]": not, `[1,{}]`: not, "": not,
	} {
		o := run(t, Sum(), input)
		switch {
		case want == not:
			if o.Kind != sdk.OutcomeFailed || !o.Permanent || o.Message != not {
				t.Errorf("%s: %+v", input, o)
			}
		case o.Kind != sdk.OutcomeSucceeded || string(o.Result.Data) != want || !strings.HasPrefix(o.Result.ContentType, "text/plain"):
			t.Errorf("%s: %s %q, want %q", input, o.Kind, o.Result.Data, want)
		}
	}
}

func TestNoop(t *testing.T) {
	for _, input := range []string{"null", `{"a": 1}`, "[1]"} {
		if o := run(t, Noop(), input); o.Kind != sdk.OutcomeSucceeded || string(o.Result.Data) != "null" {
			t.Errorf("%s: %+v", input, o)
		}
	}
}

func TestSleep(t *testing.T) {
	var seen []int64
	r := sdk.NewReporter(sdk.ReporterFuncs{Progress: func(done, total int64, _ string) {
		if total != 4 {
			t.Errorf("total is %d", total)
		}
		seen = append(seen, done)
	}})
	began := time.Now()
	res, err := Sleep().Run(t.Context(), sdk.Task{Input: json.RawMessage(`{"seconds": 0.02, "steps": 4}`)}, r)
	if err != nil || string(res.Data) != `{"slept":0.02}` || !slices.Equal(seen, []int64{0, 1, 2, 3, 4}) {
		t.Errorf("%s, %v, %v", res.Data, err, seen)
	}
	if d := time.Since(began); d < 20*time.Millisecond {
		t.Errorf("slept only %s", d)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(sdk.ErrCancel)
	if _, err := Sleep().Run(ctx, sdk.Task{Input: json.RawMessage(`{"seconds": 3600}`)}, sdk.NewReporter(sdk.ReporterFuncs{})); !errors.Is(err, sdk.ErrCancel) {
		t.Error(err)
	}
	for _, input := range []string{`{"seconds": -1}`, `{"seconds": 1e9}`, `{"seconds": 1, "steps": 0}`, `{"seconds": "1"}`, `{"secs": 1}`} {
		if o := run(t, Sleep(), input); !o.Permanent {
			t.Errorf("%s: %+v", input, o)
		}
	}
}

func httpScript(t *testing.T, h http.HandlerFunc, more string) (sdk.Script, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := HTTP(sdk.NewConfig("local", fmt.Appendf(nil, `{"allow_hosts": ["127.0.0.1"], "allow_ports": [%s, 80] %s}`, u.Port(), more), nil))
	if err != nil {
		t.Fatal(err)
	}
	return s, srv.URL
}

// Of an answer that is not hoped for the beginning is said, also where that ends within a
// character; what is no text is not.
func TestHTTPSaysWhatTheServiceSaid(t *testing.T) {
	s, base := httpScript(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		text := strings.Repeat("x", maxSaid-2) + "€ and more"
		if r.URL.Path == "/binary" {
			text = "\x89PNG" + text
		}
		_, _ = io.WriteString(w, text)
	}, "")
	for path, want := range map[string]bool{"/text": true, "/binary": false} {
		o := run(t, s, fmt.Sprintf(`{"url": %q}`, base+path))
		if said := strings.HasSuffix(o.Message, "xxx"); o.Kind != sdk.OutcomeFailed || said != want {
			t.Errorf("%s: %s %q", path, o.Kind, o.Message)
		}
	}
}

func TestHTTPRequests(t *testing.T) {
	s, base := httpScript(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "42")
		_, _ = fmt.Fprintf(w, "%s %s task=%s attempt=%s type=%q key=%q body=%q", r.Method, r.URL.Path, r.Header.Get("X-Taskhost-Task"),
			r.Header.Get("X-Taskhost-Attempt"), r.Header.Get("Content-Type"), r.Header.Get("X-Key"), body)
	}, "")
	for input, want := range map[string]string{
		`"url": "B/a"`: `GET /a task=a-task attempt=3 type="" key="" body=""`,
		`"url": "B/a", "method": "DELETE", "headers": {"x-key": "k"}`:                          `DELETE /a task=a-task attempt=3 type="" key="k" body=""`,
		`"url": "B/a", "body": "plain"`:                                                        `POST /a task=a-task attempt=3 type="text/plain; charset=utf-8" key="" body="plain"`,
		`"url": "B/a", "body": {"x": [1]}`:                                                     `POST /a task=a-task attempt=3 type="application/json" key="" body="{\"x\": [1]}"`,
		`"url": "B/a", "method": "PUT", "body": 0, "headers": {"Content-Type": "text/x-zero"}`: `PUT /a task=a-task attempt=3 type="text/x-zero" key="" body="0"`,
		`"url": "B/a", "body": null`:                                                           `GET /a task=a-task attempt=3 type="" key="" body=""`,
	} {
		o := run(t, s, "{"+strings.ReplaceAll(input, "B", base)+"}")
		var got httpAnswer
		if o.Kind != sdk.OutcomeSucceeded {
			t.Errorf("%s: %+v", input, o)
		} else if err := json.Unmarshal(o.Result.Data, &got); err != nil || got.Body != want || got.Status != 200 || got.Headers["X-Answer"] != "42" {
			t.Errorf("%s: %s, %v", input, o.Result.Data, err)
		}
	}
	for input, want := range map[string]string{
		`"url": "B/a", "method": "TRACE"`:                      "method",
		`"url": "B/a", "headers": {"Host": "x"}`:               "Host",
		`"url": "B/a", "headers": {"transfer-encoding": "x"}`:  "transfer-encoding",
		`"url": "B/a", "headers": {"x-taskhost-attempt": "1"}`: "x-taskhost-attempt",
		`"url": "B/a", "headers": {"a b": "1"}`:                "a b",
		`"url": "B/a", "headers": {"a": "1\r\nb: 2"}`:          "control",
		`"url": "http://127.0.0.2/"`:                           "allow_hosts",
		`"url": "B:1/"`:                                        "URL",
		`"uri": "B"`:                                           "uri",
		`"url": "B", "expect_status": "200"`:                   "expect_status",
		`"method": "GET"`:                                      "scheme",
	} {
		o := run(t, s, "{"+strings.ReplaceAll(input, "B", base)+"}")
		if o.Kind != sdk.OutcomeFailed || !o.Permanent || !strings.Contains(o.Message, want) {
			t.Errorf("%s: %+v, want %q", input, o, want)
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	s, base := httpScript(t, func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		if after := r.URL.Query().Get("after"); after != "" {
			w.Header().Set("Retry-After", after)
		}
		if code == http.StatusFound {
			w.Header().Set("Location", "/?code=200")
		}
		w.WriteHeader(code)
		if code == http.StatusBadGateway {
			_, _ = io.WriteString(w, "the reason")
		}
	}, "")
	for _, c := range []struct {
		query, expect string
		kind          sdk.OutcomeKind
		permanent     bool
		after         time.Duration
		says          string
	}{
		{"code=200", "", sdk.OutcomeSucceeded, false, 0, ""},
		{"code=204", "", sdk.OutcomeSucceeded, false, 0, ""},
		{"code=302", "", sdk.OutcomeSucceeded, false, 0, ""},
		{"code=302", ", \"expect_status\": 302", sdk.OutcomeSucceeded, false, 0, ""},
		{"code=404", ", \"expect_status\": [200, 404]", sdk.OutcomeSucceeded, false, 0, ""},
		{"code=503&after=9", ", \"expect_status\": 503", sdk.OutcomeSucceeded, false, 0, ""},
		{"code=200", ", \"expect_status\": 201", sdk.OutcomeFailed, true, 0, "not expected"},
		{"code=404", "", sdk.OutcomeFailed, true, 0, "404"},
		{"code=502", "", sdk.OutcomeFailed, false, 0, "the reason"},
		{"code=429&after=9", "", sdk.OutcomeFailed, false, 9 * time.Second, "429"},
		{"code=503&after=9", "", sdk.OutcomeFailed, false, 9 * time.Second, "503"},
		{"code=503", "", sdk.OutcomeFailed, false, 0, "503"},
	} {
		o := run(t, s, fmt.Sprintf(`{"url": "%s/?%s"%s}`, base, c.query, c.expect))
		if o.Kind != c.kind || o.Permanent != c.permanent || o.RetryAfter != c.after || !strings.Contains(o.Message, c.says) {
			t.Errorf("%s%s: %+v", c.query, c.expect, o)
		}
	}
}

func TestHTTPBodies(t *testing.T) {
	s, base := httpScript(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, map[string]string{"/text": "grün", "/bytes": "\xff\x00", "/long": "123456789", "/split": "1234567ü", "/fits": "12345678"}[r.URL.Path])
	}, `, "max_body": 8`)
	for path, want := range map[string]httpAnswer{
		"/text":  {Body: "grün"},
		"/fits":  {Body: "12345678"},
		"/bytes": {Body: "/wA=", Encoding: "base64"},
		"/long":  {Body: "12345678", Truncated: true},
		"/split": {Body: "1234567\uFFFD", Truncated: true},
	} {
		o := run(t, s, fmt.Sprintf(`{"url": "%s%s"}`, base, path))
		var got httpAnswer
		if err := json.Unmarshal(o.Result.Data, &got); err != nil || got.Body != want.Body || got.Encoding != want.Encoding || got.Truncated != want.Truncated {
			t.Errorf("%s: %+v", path, o)
		}
	}
}

func TestHTTPConfigRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{"allow_hosts": ["*"]}`: "allow_hosts", `{"allow_ports": [70000]}`: "allow_ports", `{"timeout": "soon"}`: "duration", `{"max_body": 0}`: "size", `{"x": 1}`: `"x"`,
	} {
		if _, err := HTTP(sdk.NewConfig("local", []byte(config), nil)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}
