package glance

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
)

// FuzzCreate: whatever a client sends, it is told 400, or what is read is what it sent.
func FuzzCreate(f *testing.F) {
	for _, s := range []string{`{"type":"import","input":{"import_from":"https://example.org/x"}}`, `{"type":"import","input":null}`, `{"type":1}`, `[]`, `null`,
		`{"type":"import","input":{"import_from":"%zz"}}`, `{"type":"import","input":{"import_from":1,"image_id":{}}}`, "{\"type\":\"import\",\"input\":{\"\xff\":1}}"} {
		f.Add([]byte(s))
	}
	h := NewHandler(Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		typ, input, err := h.decode(body, []string{"import"})
		var e *statusError
		switch {
		case err == nil:
			if typ != "import" || !json.Valid(input) {
				t.Errorf("read %q and %q", typ, input)
			}
			_ = imageOf(input)
		case !errors.As(err, &e) || e.status != http.StatusBadRequest || e.said == "":
			t.Errorf("refused with %v", err)
		}
	})
}
