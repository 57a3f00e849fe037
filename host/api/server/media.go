package server

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func requireJSON(r *http.Request) error {
	kind := r.Header.Get("Content-Type")
	if kind == "" || task.IsJSON(kind) {
		return nil
	}
	return task.Errorf(api.CodeUnsupportedMediaType, "the body is %q: send JSON with Content-Type: application/json", kind)
}

// accepts says whether the client takes an answer of one of these types. No
// header, or one that cannot be read, takes anything.
func accepts(r *http.Request, kinds ...string) bool {
	header := strings.Join(r.Header.Values("Accept"), ",")
	if header == "" || header == "*/*" {
		return true
	}
	for part := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			return true
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		for _, k := range kinds {
			major, _, _ := strings.Cut(k, "/")
			if kind == k || kind == "*/*" || kind == major+"/*" {
				return true
			}
		}
	}
	return false
}
