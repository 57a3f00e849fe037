package client

import (
	"strings"
	"testing"
)

// FuzzEventStream: a client survives whatever a server sends.
func FuzzEventStream(f *testing.F) {
	f.Add("event: state\nid: 1\ndata: {\"seq\":1,\"to\":\"running\"}\n\n")
	f.Add(": hello\n\nevent: progress\ndata: {\"done\":1,\ndata: \"total\":2}\n\n")
	f.Add("data\n\nevent\nevent: reset\ndata:x\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		var p sseParser
		for line := range strings.SplitSeq(text, "\n") {
			w, ok, err := p.update([]byte(line))
			if ok && (err != nil || w.State == nil && w.Progress == nil && !w.Reset) {
				t.Fatalf("%q gives %+v, %v", line, w, err)
			}
		}
	})
}
