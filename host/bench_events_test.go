package host_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/taskhost/taskhost/host"
)

// listen has somebody listen to the events of all tasks that the query selects, for as long as b runs.
func listen(b *testing.B, h *host.Host, query string) {
	b.Helper()
	resp, err := http.Get("http://" + h.Addr() + "/v1/events" + query)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { resp.Body.Close() })
	go io.Copy(io.Discard, resp.Body) //nolint:errcheck // it ends with b
}

// BenchmarkListenedFew is BenchmarkHostHundreds while somebody listens to what does not happen,
// BenchmarkListenedAll while they listen to all, as fast as they are told.
func BenchmarkListenedFew(b *testing.B) {
	h := benchHost(b, false)
	listen(b, h, "?state=skipped")
	submitted(b, h, plainTask, 100)
}

func BenchmarkListenedAll(b *testing.B) {
	h := benchHost(b, false)
	listen(b, h, "")
	submitted(b, h, plainTask, 100)
}
