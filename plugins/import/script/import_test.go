package script

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

const examples = "../../../examples/images"

func example(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestConformance(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"small.raw", "small.qcow2"} {
		if err := os.WriteFile(filepath.Join(root, name), example(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blocked := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("begun"))
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-blocked:
		}
	}))
	defer srv.Close()
	defer close(blocked)
	ok := sdktest.Case{Type: "import", Input: `{"import_from": "small.qcow2"}`}
	sdktest.Run(t, sdktest.Harness{
		Plugin: sdk.Plugin{Name: "import", Version: "test", New: New},
		Config: fmt.Sprintf(`{"import_root": %q, "allow_hosts": ["127.0.0.1"], "allow_ports": [%s]}`, root, srv.URL[strings.LastIndex(srv.URL, ":")+1:]),
		Type:   ok.Type, Input: ok.Input, Progress: ok, Log: ok,
		Result: func(t *testing.T, res sdk.Result) {
			var out output
			if err := json.Unmarshal(res.Data, &out); err != nil || out.VirtualSize != 8<<20 {
				t.Errorf("%s, %v", res.Data, err)
			}
		},
		Block:     sdktest.Case{Type: "import", Input: fmt.Sprintf(`{"import_from": "%s/slow"}`, srv.URL)},
		Fail:      sdktest.Case{Type: "import", Input: fmt.Sprintf(`{"import_from": "%s/busy"}`, srv.URL)},
		Permanent: sdktest.Case{Type: "import", Input: `{"import_from": "absent"}`},
		Many:      100, // each one writes and syncs a file
	})
}

// bench is an import script at work in a directory of the test's.
type bench struct {
	t      *testing.T
	images string
	root   string
	script sdk.Script
	log    bytes.Buffer
	seen   []string // progress
}

func newBench(t *testing.T, config map[string]any) *bench {
	t.Helper()
	b := &bench{t: t, images: filepath.Join(t.TempDir(), "images"), root: t.TempDir()}
	all := map[string]any{"images_dir": b.images, "import_root": b.root}
	for k, v := range config {
		all[k] = v
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if b.script, err = Script(sdk.NewConfig("images", data, nil)); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) reporter() sdk.Reporter {
	return sdk.NewReporter(sdk.ReporterFuncs{
		Line:     func(_ hclog.Level, msg string, args []string) { fmt.Fprintln(&b.log, msg, strings.Join(args, " ")) },
		Progress: func(done, total int64, m string) { b.seen = append(b.seen, fmt.Sprintf("%d/%d %s", done, total, m)) },
	})
}

func (b *bench) put(name string, data []byte) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.root, name), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) task(attempt int, in map[string]any) sdk.Task {
	b.t.Helper()
	data, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	return sdk.Task{ID: "01990f4e-aaaa-7000-8000-000000000001", Type: "import", Attempt: attempt, Token: sdk.Token{byte(attempt)}, Input: data}
}

func (b *bench) run(ctx context.Context, t sdk.Task) (output, sdk.Outcome) {
	b.t.Helper()
	res, err := b.script.Run(ctx, t, b.reporter())
	var out output
	if err == nil {
		if err := json.Unmarshal(res.Data, &out); err != nil {
			b.t.Fatal(err)
		}
	}
	return out, sdk.OutcomeOf(ctx, res, err)
}

// files are the names in the image directory.
func (b *bench) files() []string {
	b.t.Helper()
	return inDir(b.t, b.images)
}

func (b *bench) empty() {
	b.t.Helper()
	if names := b.files(); len(names) > 0 {
		b.t.Errorf("left behind: %v", names)
	}
}

func TestImportAndRevert(t *testing.T) {
	for _, c := range []struct {
		file, says, format string
		virtual            int64
	}{
		{"small.raw", "auto", "raw", 262144},
		{"small.raw", "raw", "raw", 262144},
		{"small.qcow2", "auto", "qcow2", 8 << 20},
		{"small.qcow2", "qcow2", "qcow2", 8 << 20},
	} {
		for _, via := range []string{"path", "absolute path", "http", "chunked"} {
			t.Run(c.file+" as "+c.says+" by "+via, func(t *testing.T) {
				want := example(t, c.file)
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if via == "chunked" {
						w.(http.Flusher).Flush()
					}
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(want))
				}))
				defer srv.Close()
				b := newBench(t, map[string]any{"allow_hosts": []string{"127.0.0.1"}, "allow_ports": []int{port(t, srv.URL)}})
				b.put(c.file, want)
				from := map[string]string{"path": c.file, "absolute path": filepath.Join(b.root, c.file)}[via]
				if from == "" {
					from = srv.URL + "/" + c.file + "?signature=secret"
				}
				task := b.task(1, map[string]any{"import_from": from, "import_from_format": c.says,
					"image_properties": map[string]any{"os": "none", "min_disk": 10}, "checksum": fmt.Sprintf("sha256:%X", sha256.Sum256(want))})
				out, o := b.run(t.Context(), task)
				if o.Kind != sdk.OutcomeSucceeded {
					t.Fatalf("%+v", o)
				}
				should := output{ImageID: task.ID, Size: int64(len(want)), VirtualSize: c.virtual, DiskFormat: c.format, Checksums: checksums{
					fmt.Sprintf("%x", md5.Sum(want)), fmt.Sprintf("%x", sha256.Sum256(want)), fmt.Sprintf("%x", sha512.Sum512(want))}}
				if out != should {
					t.Errorf("result %+v, want %+v", out, should)
				}
				if got, err := os.ReadFile(filepath.Join(b.images, task.ID)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("the image differs (%v)", err)
				}
				var meta metadata
				data, err := os.ReadFile(filepath.Join(b.images, task.ID+".json"))
				if err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(data, &meta); err != nil || meta.output != out || string(meta.Properties["os"]) != `"none"` || string(meta.Properties["min_disk"]) != "10" || meta.Source == "" || bytes.Contains(data, []byte("secret")) {
					t.Errorf("metadata %s (%v)", data, err)
				}
				if names := b.files(); len(names) != 2 {
					t.Errorf("the directory holds %v", names)
				}
				total := int64(len(want))
				if via == "chunked" {
					total = 0
				}
				if last := fmt.Sprintf("%d/%d storing", len(want), total); b.seen[0] != fmt.Sprintf("0/%d copying", total) || b.seen[len(b.seen)-1] != last {
					t.Errorf("progress %q", b.seen)
				}
				for _, part := range []string{"importing", "copied", "checksum matches", "image stored"} {
					if !strings.Contains(b.log.String(), part) {
						t.Errorf("the log lacks %q:\n%s", part, &b.log)
					}
				}
				for range 2 { // and again, for a revert may be repeated
					if err := b.script.Undo(t.Context(), task, b.reporter()); err != nil {
						t.Error(err)
					}
					b.empty()
				}
			})
		}
	}
}

func port(t *testing.T, raw string) (n int) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(u.Port(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What is refused is refused for good, says why, and leaves nothing.
func TestRefused(t *testing.T) {
	b := newBench(t, map[string]any{"max_size": 300000})
	raw, qcow2 := example(t, "small.raw"), example(t, "small.qcow2")
	b.put("raw", raw)
	b.put("qcow2", qcow2)
	b.put("short", qcow2[:40])
	b.put("cut", qcow2[:8192])
	b.put("empty", nil)
	b.put("big", make([]byte, 300001))
	b.put("page", []byte("\n<!DOCTYPE html><title>Please log in</title>"))
	b.put("gz", []byte("\x1f\x8b\x08\x00 and so on"))
	b.put("vmdk", append([]byte("KDMV"), make([]byte, 600)...))
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"link-out": outside, "link-up": "../../" + filepath.Base(filepath.Dir(outside)) + "/secret", "link-dir": filepath.Dir(outside), "loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(b.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(b.root, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(b.root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(b.root, outside)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, format, checksum, want string
	}{
		{"raw", "qcow2", "", "import_from_format says qcow2, but the bytes are raw"},
		{"qcow2", "raw", "", "import_from_format says raw, but the bytes are qcow2"},
		{"vmdk", "raw", "", "the bytes are vmdk"},
		{"vmdk", "auto", "", "only raw and qcow2"},
		{"page", "auto", "", "html"},
		{"gz", "auto", "", "gzip"},
		{"empty", "auto", "", "empty"},
		{"empty", "qcow2", "", "empty"},
		{"short", "auto", "", "cut short"},
		{"cut", "auto", "", "cut short"},
		{"big", "raw", "", "max_size"},
		{"raw", "vhd", "", "import_from_format"},
		{"raw", "auto", "sha256:" + strings.Repeat("0", 64), "expected sha256:0000"},
		{"raw", "auto", "md5:" + strings.Repeat("0", 32), "expected md5:0000"},
		{"raw", "auto", "sha512:" + strings.Repeat("0", 128), "expected sha512:0000"},
		{"raw", "auto", "sha256:12", "checksum"},
		{"raw", "auto", "crc:12", "checksum"},
		{"", "auto", "", "import_from"},
		{"absent", "auto", "", "no such file"},
		{"raw/below", "auto", "", "not a directory"},
		{"dir", "auto", "", "not a regular file"},
		{"pipe", "auto", "", "not a regular file"},
		{up, "auto", "", "escapes"},
		{"dir/../" + up, "auto", "", "escapes"},
		{outside, "auto", "", "not below import_root"},
		{b.root + "/../" + filepath.Base(outside), "auto", "", "not below import_root"},
		{"link-out", "auto", "", "escapes"},
		{"link-up", "auto", "", "escapes"},
		{"link-dir/secret", "auto", "", "escapes"},
		{"loop", "auto", "", "path"},
		{"raw\x00", "auto", "", "path"},
		{"file:///etc/passwd", "auto", "", "only http and https"},
		{"http://127.0.0.1/image", "auto", "", "allow_hosts"},
		{"http://localhost/image", "auto", "", "allow_hosts"},
		{"http://8.8.8.8:22/image", "auto", "", "allow_ports"},
	} {
		in := map[string]any{"import_from": c.from, "import_from_format": c.format}
		if c.checksum != "" {
			in["checksum"] = c.checksum
		}
		_, o := b.run(t.Context(), b.task(1, in))
		if o.Kind != sdk.OutcomeFailed || !o.Permanent || !strings.Contains(o.Message, c.want) {
			t.Errorf("%q as %s: %s permanent=%v %q, want %q", c.from, c.format, o.Kind, o.Permanent, o.Message, c.want)
		}
		b.empty()
	}
	if _, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": "raw", "colour": "red"})); !o.Permanent || !strings.Contains(o.Message, "colour") {
		t.Errorf("an unknown field: %+v", o)
	}
	for _, id := range []string{"", "../x", "a/b", ".x", "a.json", strings.Repeat("a", 200)} {
		task := b.task(1, map[string]any{"import_from": "raw"})
		task.ID = id
		if _, o := b.run(t.Context(), task); !o.Permanent {
			t.Errorf("id %q: %+v", id, o)
		}
		if err := b.script.Undo(t.Context(), task, b.reporter()); err == nil {
			t.Errorf("revert of id %q", id)
		}
	}
}

func TestPathNeedsRoot(t *testing.T) {
	b := newBench(t, map[string]any{"import_root": ""})
	if _, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": "/etc/passwd"})); !o.Permanent || !strings.Contains(o.Message, "import_root") {
		t.Errorf("%+v", o)
	}
}

// A link is followed as long as it stays below the root.
func TestLinkInside(t *testing.T) {
	b := newBench(t, nil)
	b.put("raw", example(t, "small.raw"))
	if err := os.Symlink("raw", filepath.Join(b.root, "latest")); err != nil {
		t.Fatal(err)
	}
	if _, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": "latest"})); o.Kind != sdk.OutcomeSucceeded {
		t.Errorf("%+v", o)
	}
}

func TestServerTrouble(t *testing.T) {
	raw := example(t, "small.raw")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/busy":
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/cut":
			w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
			_, _ = w.Write(raw[:100000])
		case "/encoded":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(raw)
		case "/inside":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case "/big":
			_, _ = w.Write(make([]byte, 300001))
		case "/big-chunked":
			w.(http.Flusher).Flush()
			_, _ = w.Write(make([]byte, 300001))
		}
	}))
	defer srv.Close()
	b := newBench(t, map[string]any{"allow_hosts": []string{"127.0.0.1"}, "allow_ports": []int{80, port(t, srv.URL)}, "max_size": "293KiB"})
	for path, want := range map[string]struct {
		permanent bool
		after     time.Duration
		says      string
	}{
		"/busy":        {false, 30 * time.Second, "503"},
		"/broken":      {false, 0, "500"},
		"/gone":        {true, 0, "410"},
		"/cut":         {false, 0, "unexpected EOF"},
		"/encoded":     {true, 0, "encoded"},
		"/inside":      {true, 0, "link-local"},
		"/big":         {true, 0, "max_size (300032 bytes)"},
		"/big-chunked": {true, 0, "max_size (300032 bytes)"},
	} {
		if strings.HasPrefix(path, "/big") {
			b = newBench(t, map[string]any{"allow_hosts": []string{"127.0.0.1"}, "allow_ports": []int{80, port(t, srv.URL)}, "max_size": 300000})
			want.says = "max_size (300000 bytes)"
		}
		_, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": srv.URL + path}))
		if o.Kind != sdk.OutcomeFailed || o.Permanent != want.permanent || o.RetryAfter != want.after || !strings.Contains(o.Message, want.says) {
			t.Errorf("%s: %+v, want %+v", path, o, want)
		}
		b.empty()
	}
}

func TestCancelRemovesTheTemporaryFile(t *testing.T) {
	begun, stop := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 100000))
		w.(http.Flusher).Flush()
		close(begun)
		<-stop
	}))
	defer srv.Close()
	defer close(stop)
	b := newBench(t, map[string]any{"allow_hosts": []string{"127.0.0.1"}, "allow_ports": []int{port(t, srv.URL)}})
	ctx, cancel := context.WithCancelCause(t.Context())
	task := b.task(1, map[string]any{"import_from": srv.URL})
	var seen []string
	go func() {
		<-begun
		seen = b.files()
		cancel(sdk.ErrCancel)
	}()
	if _, o := b.run(ctx, task); o.Kind != sdk.OutcomeCanceled {
		t.Errorf("%+v", o)
	}
	if !slices.ContainsFunc(seen, func(n string) bool { return strings.Contains(n, task.Token.String()) }) {
		t.Errorf("while it ran there were %v, none named by the token", seen)
	}
	b.empty()
}

func TestDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no /dev/full here: %v", err)
	}
	defer func() { _ = full.Close() }()
	tr := transfer{file: full, requested: formatRequest{format: formatAuto}, limit: 1 << 20, reporter: sdk.NewReporter(sdk.ReporterFuncs{}), now: time.Now}
	err = tr.run(t.Context(), bytes.NewReader(make([]byte, 1000)))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "images_dir: the disk is full, after 0 bytes") {
		t.Errorf("%v", err)
	}
	if o := sdk.OutcomeOf(t.Context(), sdk.Result{}, err); o.Permanent {
		t.Error("there may be room later")
	}
}

func TestConfigRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		`{"images_dri": "/x"}`:                      `unknown field "images_dri"`,
		`{"images_dir": "images"}`:                  "images_dir",
		fmt.Sprintf(`{"images_dir": "%s/x"}`, file): "images_dir",
		`{}`: "images_dir", // without a data directory
		`{"images_dir": "/tmp", "import_root": "x"}`:                   "import_root",
		`{"images_dir": "/tmp", "import_root": "/no/such/x"}`:          "import_root",
		fmt.Sprintf(`{"images_dir": "/tmp", "import_root": %q}`, file): "import_root",
		`{"images_dir": "/tmp", "allow_hosts": ["*"]}`:                 "allow_hosts",
		`{"images_dir": "/tmp", "allow_ports": [0]}`:                   "allow_ports",
		`{"images_dir": "/tmp", "max_size": "many"}`:                   "size",
		`{"images_dir": "/tmp", "timeout": 5}`:                         "duration",
	} {
		if _, err := New(sdk.NewConfig("images", []byte(config), nil)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

func TestImagesDirDefault(t *testing.T) {
	cfg := sdk.NewConfig("images", nil, nil)
	cfg.DataDir = t.TempDir()
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(cfg.DataDir, "images")); err != nil || !info.IsDir() {
		t.Error(err)
	}
}
