package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// named has a String method and is nothing to JSON.
type named [2]byte

func (named) String() string { return "a name" }

// Both formats write what people and programs read: no monotonic clock, no counts of
// nanoseconds, no list of the bytes of an id; and numbers stay numbers.
func TestReadableLog(t *testing.T) {
	at := time.Now() // with the reading of the monotonic clock that must not be shown
	zone := at.In(time.FixedZone("east", 3600))
	var none *time.Time
	values := map[string]any{"at": at, "zone": zone, "ref": &at, "none": none, "took": 1500 * time.Millisecond, "id": named{1, 2},
		"count": 3, "ratio": 1.5, "nan": math.NaN(), "number": json.Number("1e3"), "err": errors.New("no"), "flag": true}
	shown := at.UTC().Format(time.RFC3339Nano)
	want := map[string]any{"at": shown, "zone": shown, "ref": shown, "none": nil, "took": "1.5s", "id": "a name",
		"count": 3.0, "ratio": 1.5, "nan": "NaN", "number": 1000.0, "err": "no", "flag": true}
	args := func() (all []any) {
		for k, v := range values {
			all = append(all, k, v)
		}
		return all
	}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		log := ReadableLog(hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: asJSON, Level: hclog.Debug}))
		if ReadableLog(log) != log {
			t.Error("a readable logger is wrapped again")
		}
		for how, write := range map[string]func(){
			"in the line":     func() { log.Named("n").Debug("m", args()...) },
			"before the line": func() { log.With(args()...).ResetNamed("n").Warn("m") },
		} {
			out.Reset()
			write()
			if !asJSON {
				if text := out.String(); strings.Contains(text, "m=") || !strings.Contains(text, "took=1.5s") || !strings.Contains(text, shown) {
					t.Errorf("%s: %s", how, text)
				}
				continue
			}
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v in %q", how, err, out.String())
			}
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%s: %s is %#v, want %#v", how, k, got[k], v)
				}
			}
		}
		out.Reset()
		made := log.Named("made before")
		log.Trace("below the level")
		log.SetLevel(hclog.Error)
		made.Warn("and below the new one")
		if out.Len() > 0 {
			t.Errorf("%s", out.String())
		}
	}
	if text := argText(at); text != shown {
		t.Errorf("an attempt's line has %s, want %s", text, shown)
	}
}
