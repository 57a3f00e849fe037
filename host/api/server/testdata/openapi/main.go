// Openapi writes the OpenAPI document, as a server serves it but on many lines, to its
// stdout: for tools that look it through.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/taskhost/taskhost/host/api/server"
)

func main() {
	w := httptest.NewRecorder()
	server.NewHandler(nil, server.Options{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/openapi.json", nil))
	if w.Code != http.StatusOK {
		fmt.Fprintln(os.Stderr, w.Body)
		os.Exit(1)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, w.Body.Bytes(), "", "  "); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(text.Bytes())
}
