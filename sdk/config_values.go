package sdk

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// Duration is a value of a config such as "90s" or "1h30m". It is more than nothing, and a
// bare number is refused, since nobody could tell its unit.
type Duration time.Duration

// UnmarshalJSON reads the text form; null changes nothing.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
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

// MarshalJSON writes the text form, without parts that are zero.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}

// Size is a value of a config in bytes: a number, or text with a unit of 1024, such as
// "512MiB". It is more than nothing.
type Size int64

// sizeUnits are in falling order.
var sizeUnits = [...]struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalJSON reads both forms; null changes nothing.
func (z *Size) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		s = string(data)
	}
	digits, unit := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = strings.TrimSpace(rest), u.bytes
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

// MarshalJSON writes text with the largest unit that divides it, or the number of bytes.
func (z Size) MarshalJSON() ([]byte, error) {
	for _, u := range sizeUnits {
		if z != 0 && int64(z)%u.bytes == 0 {
			return json.Marshal(fmt.Sprintf("%d%s", int64(z)/u.bytes, u.name))
		}
	}
	return json.Marshal(int64(z))
}

// Path is a value of a config that names a file or directory. Config.Decode makes a
// relative one absolute, against the folder of the file that it stands in.
type Path string

// configValues are the schemas of these types, which are not what the types are made of.
func configValues() map[reflect.Type]*jsonschema.Schema {
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[Duration](): {Type: "string", Format: FormatDuration},
		reflect.TypeFor[Size]():     {Types: []string{"integer", "string"}, Format: FormatSize, Minimum: jsonschema.Ptr(1.0)},
		reflect.TypeFor[Path]():     {Type: "string", Format: FormatPath},
	}
}

// The formats by which a schema names what Duration, Size and Path read. They are none of
// JSON Schema's own: this host checks them, and other validators let any text pass.
const (
	FormatDuration = "go-duration"
	FormatSize     = "byte-size"
	FormatPath     = "file-path"
)
