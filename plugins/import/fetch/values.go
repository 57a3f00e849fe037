package fetch

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a config value such as "90s" or "1h30m"; a bare number is refused,
// since nobody could tell its unit.
type Duration time.Duration

// UnmarshalJSON reads the text form. Zero and negative durations are refused.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf(`duration %s: write it with its unit, such as "30s"`, data)
	}
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return fmt.Errorf(`duration %q: write a positive number with its unit, such as "30s"`, s)
	}
	*d = Duration(v)
	return nil
}

// Size is a config value in bytes: a number, or text with a unit of 1024, such as
// "512MiB".
type Size int64

// UnmarshalJSON reads both forms. Zero and negative sizes are refused.
func (z *Size) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		s = string(data)
	}
	digits, unit := strings.TrimSpace(s), int64(1)
	for name, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40} {
		if rest, ok := strings.CutSuffix(digits, name); ok {
			digits, unit = strings.TrimSpace(rest), factor
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return fmt.Errorf(`size %q: write bytes, or a number with KiB, MiB, GiB or TiB`, s)
	}
	*z = Size(n * unit)
	return nil
}
