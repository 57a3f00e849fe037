package supervisor_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/supervisor"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"plain, with \t a tab": "plain, with \t a tab",
		"größer, 値, 🙂, a\u00a0space\u3000": "größer, 値, 🙂, a\u00a0space\u3000",
		"one\n2026-01-01 [INFO] two":       `one\n2026-01-01 [INFO] two`,
		"back\r over":                      `back\r over`,
		"\x1b[31mred\x1b]0;title\a":        `\u001b[31mred\u001b]0;title\u0007`,
		"\x00\x7f":                         `\u0000\u007f`,
		"C1 \u009b31m \u0085":              `C1 \u009b31m \u0085`,
		"separators \u2028 \u2029":         `separators \u2028 \u2029`,
		"turned \u202eback\u202c \u2066":   `turned \u202eback\u202c \u2066`,
		"hidden \u200b\ufeff\U000e0041":    `hidden \u200b\ufeff\udb40\udc41`,
		"no \xff UTF-8 \xc2":               "no \ufffd UTF-8 \ufffd",
	} {
		if got := supervisor.Printable(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// Whatever comes in, what goes out is one line that steers nothing, and in a JSON
// string means the same.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"a\nb", "\x1b[2J", "\u202e", "\xff", "\U000e0041\u2028", "plain"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := supervisor.Printable(s)
		if !utf8.ValidString(got) || strings.IndexFunc(got, func(r rune) bool { return r != '\t' && !unicode.IsGraphic(r) }) >= 0 {
			t.Fatalf("%q becomes %q", s, got)
		}
		if supervisor.Printable(got) != got {
			t.Fatalf("%q is changed again", got)
		}
		if strings.ContainsAny(s, "\"\\\t") {
			return
		}
		var back string
		if err := json.Unmarshal([]byte(`"`+got+`"`), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Fatalf("%q in JSON is %q, %v", s, back, err)
		}
	})
}
