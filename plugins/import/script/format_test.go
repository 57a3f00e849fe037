package script

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// By allow_any a file of any kind is a raw disk, and both the result and what stands
// beside the image say how it is to be opened and what it looks like.
func TestAllowAny(t *testing.T) {
	for name, c := range map[string]struct {
		data       []byte
		recognized string
	}{
		"a disk":          {example(t, "small.raw"), ""},
		"qcow2":           {example(t, "small.qcow2"), "qcow2"},
		"by its head":     {sector(map[int]string{0: "LUKS\xba\xbe\x00\x02"}), "luks"},
		"by its end":      {append(make([]byte, 1<<20), vhdFooter()...), "vhd"},
		"short, by end":   {vhdFooter(), "vhd"},
		"a word":          {[]byte("no"), "text"},
		"a backing file":  {header(3, patch{8: uint64(512), 16: uint32(5)}), "qcow2"},
		"as large as one": {append(sector(map[int]string{0: "QED\x00"}), make([]byte, headSize-4096)...), "qed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.put("x", c.data)
			in := map[string]any{"import_from": "x", "import_from_format": "raw", "allow_any": false}
			task := b.task(1, in)
			if _, o := b.run(t.Context(), task); o.Permanent != (c.recognized != "") {
				t.Errorf("without it: %+v", o)
			}
			in["allow_any"] = true
			task = b.task(2, in)
			out, o := b.run(t.Context(), task)
			if o.Kind != sdk.OutcomeSucceeded || out.DiskFormat != formatRaw || out.Recognized != c.recognized || out.VirtualSize != int64(len(c.data)) {
				t.Errorf("%+v, %+v", out, o)
			}
			var meta metadata
			if data, err := os.ReadFile(metaPath(b.images, task.ID)); err != nil || json.Unmarshal(data, &meta) != nil || meta.output != out {
				t.Errorf("metadata %s, %v", data, err)
			}
		})
	}
	b := newBench(t, nil)
	b.put("x", example(t, "small.raw"))
	for _, in := range []map[string]any{
		{"import_from": "x", "allow_any": true},
		{"import_from": "x", "allow_any": true, "import_from_format": "auto"},
		{"import_from": "x", "allow_any": true, "import_from_format": "qcow2"},
	} {
		if _, o := b.run(t.Context(), b.task(1, in)); !o.Permanent || !strings.Contains(o.Message, "allow_any") {
			t.Errorf("%v: %+v", in, o)
		}
	}
}

// A kind that is known by its beginning is refused when that is there, not after
// the last of many gigabytes.
func TestRefusedByTheHead(t *testing.T) {
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Length", fmt.Sprint(1<<40))
		_, _ = w.Write(append([]byte("LZIP\x01"), make([]byte, headSize)...))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer srv.Close()
	b := newBench(t, map[string]any{"allow_hosts": []string{"127.0.0.1"}, "allow_ports": []int{port(t, srv.URL)}, "max_size": "2TiB"})
	if _, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": srv.URL})); !o.Permanent || !strings.Contains(o.Message, "the bytes are lzip") {
		t.Errorf("%+v", o)
	}
	<-gone
	b.empty()
}
