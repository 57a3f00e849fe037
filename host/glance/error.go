package glance

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// statusError is an error with its HTTP status and what the client is told.
type statusError struct {
	status int
	said   string
}

func (e *statusError) Error() string { return e.said }

func fault(status int, format string, args ...any) error {
	return &statusError{status, fmt.Sprintf(format, args...)}
}

// statuses are those of the errors that tasks give. What /v1 answers with 422 is 400 here.
var statuses = map[task.Code]int{
	task.CodeUnauthenticated: http.StatusUnauthorized, task.CodeForbidden: http.StatusForbidden, task.CodeNotFound: http.StatusNotFound,
	task.CodeInvalidRequest: http.StatusBadRequest, task.CodeInvalidInput: http.StatusBadRequest, task.CodeUnknownType: http.StatusBadRequest,
	task.CodeConflict: http.StatusConflict, task.CodeTooLarge: http.StatusRequestEntityTooLarge, task.CodeQueueFull: http.StatusTooManyRequests,
	task.CodeQuotaExceeded:       http.StatusRequestEntityTooLarge, // as Glance has it
	task.CodeExecutorUnavailable: http.StatusServiceUnavailable, task.CodeStoreUnavailable: http.StatusServiceUnavailable, task.CodeStoreFull: http.StatusInsufficientStorage,
}

// writeError answers with an error as Glance does: in HTML, unless the caller accepts JSON.
func writeError(w http.ResponseWriter, r *request, err error) {
	status, said := http.StatusInternalServerError, "The server has either erred or is incapable of performing the requested operation."
	var own *statusError
	var te *task.Error
	switch {
	case errors.As(err, &own):
		status, said = own.status, own.said
	case errors.As(err, &te) && statuses[te.Code] != 0:
		status, said = statuses[te.Code], te.Message
		if te.Code == task.CodeQuotaExceeded || status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(te.RetryAfter.Seconds())))))
		}
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="taskhost"`)
	}
	title := http.StatusText(status)
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		_ = writeJSON(w, status, map[string]any{"code": fmt.Sprintf("%d %s", status, title), "title": title, "message": said})
		return
	}
	body := fmt.Sprintf("<html>\n <head>\n  <title>%d %s</title>\n </head>\n <body>\n  <h1>%[1]d %[2]s</h1>\n  %s<br /><br />\n\n\n </body>\n</html>", status, title, html.EscapeString(said))
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client may be gone
	return nil
}
