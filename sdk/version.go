package sdk

import (
	"fmt"
	"strings"

	"golang.org/x/mod/semver"
)

// maxVersion bounds a version, in bytes.
const maxVersion = 100

// ValidVersion says whether v can be the version of a task type: a semantic version such as
// 1.4.0, 2.0.0-rc.1, 2 or v1.4.0, of 100 bytes at the most.
func ValidVersion(v string) bool { return len(v) <= maxVersion && semver.IsValid(withV(v)) }

// CompareVersions is -1, 0 or 1 as a is older than b, the same or newer, by the rules of
// semantic versions: what is left out of 1.4 is 0, and 2.0.0-rc.1 is older than 2.0.0. What
// is no version, as "", is older than any.
func CompareVersions(a, b string) int { return semver.Compare(withV(a), withV(b)) }

// NewEnough says whether a version is least or newer; all are if least is "".
func NewEnough(version, least string) bool {
	return least == "" || CompareVersions(version, least) >= 0
}

// withV is a version as the library wants it.
func withV(version string) string {
	if strings.HasPrefix(version, "v") {
		return version
	}
	return "v" + version
}

// CheckVersions says which of the versions that the type names is none.
func (t *TypeInfo) CheckVersions() error {
	name, v := "version", t.Version
	if v == "" || ValidVersion(v) {
		name, v = "min_version", t.Defaults.MinVersion
	}
	if v == "" || ValidVersion(v) {
		return nil
	}
	return fmt.Errorf("task type %q: its %s is %q, which is no semantic version such as 1.4.0", t.Name, name, clip(v, maxVersion))
}
