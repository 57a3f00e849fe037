package script

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

func TestContentEncoding(t *testing.T) {
	raw := example(t, "small.raw")
	var lines []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Encoding"] = lines
		_, _ = w.Write(raw)
	}))
	defer srv.Close()
	b := newBench(t, map[string]any{"allow_hosts": []string{"127.0.0.1"}, "allow_ports": []int{port(t, srv.URL)}})
	for _, c := range []struct {
		lines []string
		good  bool
	}{
		{nil, true},
		{[]string{""}, true},
		{[]string{"identity"}, true},
		{[]string{"Identity"}, true},
		{[]string{" IDENTITY ,identity"}, true},
		{[]string{"identity", "Identity"}, true},
		{[]string{",", "identity,"}, true},
		{[]string{"gzip"}, false},
		{[]string{"GZIP"}, false},
		{[]string{"identity", "gzip"}, false},
		{[]string{"gzip", "identity"}, false},
		{[]string{"", "br"}, false},
		{[]string{"identity, x-gzip"}, false},
		{[]string{"identityx"}, false},
	} {
		lines = c.lines
		_, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": srv.URL}))
		if (o.Kind == sdk.OutcomeSucceeded) != c.good || !c.good && (!o.Permanent || !strings.Contains(o.Message, "encoded")) {
			t.Errorf("%q: %+v", c.lines, o)
		}
	}
}

// A path where none is imported says what the operator can write, and where.
func TestPathWithoutRootSaysWhatWorks(t *testing.T) {
	cfg := sdk.NewConfig("local", nil, nil).Sub(nil, "scripts", "import")
	cfg.DataDir = t.TempDir()
	im, err := newImporter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := im.openPath("/srv/x.raw"); err == nil || !strings.Contains(err.Error(), `scripts = { import = { import_root = "/a/directory" } }`) {
		t.Errorf("a path is refused with %v", err)
	}
}
