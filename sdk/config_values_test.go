package sdk

import (
	"encoding/json"
	"testing"
	"time"
)

func TestConfigValues(t *testing.T) {
	for text, want := range map[string]int64{
		`1`: 1, `"1"`: 1, `"512MiB"`: 512 << 20, `"2 GiB"`: 2 << 30, `"1TiB"`: 1 << 40, `1073741824`: 1 << 30,
		`0`: 0, `-1`: 0, `"1MB"`: 0, `""`: 0, `"MiB"`: 0, `1.5`: 0, `"9999999TiB"`: 0, `true`: 0,
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

// What is written is read as the same value, in the form that an operator would choose.
func TestConfigValuesAreWrittenAsRead(t *testing.T) {
	for want, v := range map[string]any{
		`"1m"`: Duration(time.Minute), `"1h"`: Duration(time.Hour), `"1h30m"`: Duration(90 * time.Minute), `"1h0m5s"`: Duration(time.Hour + 5*time.Second),
		`"250ms"`: Duration(250 * time.Millisecond), `"64GiB"`: Size(64 << 30), `"1KiB"`: Size(1 << 10), `1025`: Size(1025),
	} {
		data, err := json.Marshal(v)
		if err != nil || string(data) != want {
			t.Errorf("%v is written %s, %v; want %s", v, data, err, want)
		}
	}
	c := struct {
		D Duration
		Z Size
	}{5, 7}
	if err := json.Unmarshal([]byte(`{"D":null,"Z":null}`), &c); err != nil || c.D != 5 || c.Z != 7 {
		t.Errorf("null changes %+v, %v", c, err)
	}
}
