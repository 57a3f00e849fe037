package host

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// What the REST side logs of clients cannot pass for a line of its own.
func TestSlogForgesNoLines(t *testing.T) {
	var out bytes.Buffer
	log := slogTo(hclog.New(&hclog.LoggerOptions{Output: &out}))
	evil := "x\n2026-01-01T00:00:00.000Z [INFO]  taskhost: forged\x1b[2K\u202e"
	log.Error(evil, evil, evil)
	log.With(evil, evil).Error("m", slog.Any("list", []string{evil}))
	if text := out.String(); strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, "\n2026-01-01") {
		t.Errorf("%q", text)
	}
}
