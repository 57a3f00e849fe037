package fetch

import (
	"encoding/json"
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for text, want := range map[string]int64{
		`1`: 1, `"1"`: 1, `"512MiB"`: 512 << 20, `"2 GiB"`: 2 << 30, `"1TiB"`: 1 << 40, `1073741824`: 1 << 30,
		`0`: 0, `-1`: 0, `"1MB"`: 0, `""`: 0, `"MiB"`: 0, `1.5`: 0, `null`: 0, `"9999999TiB"`: 0, `true`: 0,
	} {
		var z Size
		if err := json.Unmarshal([]byte(text), &z); (err == nil) != (want > 0) || int64(z) != want {
			t.Errorf("size %s: %d, %v", text, z, err)
		}
	}
	for text, want := range map[string]time.Duration{
		`"90s"`: 90 * time.Second, `"1h30m"`: 90 * time.Minute, `"0s"`: 0, `"-1s"`: 0, `5`: 0, `"5"`: 0, `""`: 0,
	} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); (err == nil) != (want > 0) || time.Duration(d) != want {
			t.Errorf("duration %s: %d, %v", text, d, err)
		}
	}
}
