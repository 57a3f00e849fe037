package task

import (
	"strings"

	"golang.org/x/mod/semver"
)

// MaxVersion bounds a version, in bytes.
const MaxVersion = 100

// ValidVersion says whether v is a semantic version, such as 1.4.0, 2 or v2.0.0-rc.1.
func ValidVersion(v string) bool {
	return len(v) <= MaxVersion && semver.IsValid("v"+strings.TrimPrefix(v, "v"))
}
