package task

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// The bounds of JSON from outside. A number costs what it says, not what it
// weighs: 1e-999999 is nine bytes here, and 400 KB to whoever compares it exactly.
const (
	MaxJSONDepth    = 200  // objects and arrays in one another
	MaxJSONNumber   = 1000 // bytes of one number
	MaxJSONExponent = 400  // a float64 ends at 308
)

// IsJSON says whether what has this media type is JSON.
func IsJSON(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// BoundJSON says what in data is deeper or larger than the bounds, and at which
// byte. It looks at brackets and numbers alone: data need not be valid JSON, and
// is not found to be by this.
func BoundJSON(data []byte) error {
	depth := 0
	for i := 0; i < len(data); {
		switch c := data[i]; {
		case c == '"':
			i = stringEnd(data, i)
			continue
		case c == '{', c == '[':
			if depth++; depth > MaxJSONDepth {
				return fmt.Errorf("is deeper than %d objects and arrays in one another, at byte %d", MaxJSONDepth, i+1)
			}
		case c == '}', c == ']':
			depth--
		case c == '-', c >= '0' && c <= '9':
			n := numberEnd(data, i)
			if err := BoundNumber(data[i:n]); err != nil {
				return fmt.Errorf("holds %w, at byte %d", err, i+1)
			}
			i = n
			continue
		}
		i++
	}
	return nil
}

// BoundNumber says why a number, in decimal digits with or without an exponent, is
// not to be computed with.
func BoundNumber(digits []byte) error {
	if len(digits) > MaxJSONNumber {
		return fmt.Errorf("a number of %d bytes, which is more than %d: write it as a string", len(digits), MaxJSONNumber)
	}
	at := bytes.IndexAny(digits, "eE")
	if at < 0 {
		return nil
	}
	exponent, err := strconv.Atoi(string(digits[at+1:]))
	if err != nil && len(digits)-at < 4 { // no number at all: others say so
		return nil
	}
	if err != nil || exponent > MaxJSONExponent || exponent < -MaxJSONExponent {
		return fmt.Errorf("a number whose exponent is not between -%d and %d", MaxJSONExponent, MaxJSONExponent)
	}
	return nil
}

// stringEnd is where the string that begins at i has ended.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

func numberEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch c := data[i]; {
		case c >= '0' && c <= '9', c == '.', c == 'e', c == 'E', c == '+', c == '-':
		default:
			return i
		}
	}
	return i
}
