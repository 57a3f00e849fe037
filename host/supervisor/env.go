package supervisor

import "strings"

// instanceVar marks a plugin process and all that it starts, so that a later
// host finds them whatever process group they moved to.
const instanceVar = "TASKHOST_INSTANCE"

// defaultEnv is what plugins may see of the host's environment without being asked.
var defaultEnv = []string{"PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR", "SSL_CERT_*"}

// filterEnv picks from environ (as of os.Environ) what the names and prefixes in
// the lists let through.
func filterEnv(environ []string, lists ...[]string) []string {
	var out []string
	for _, kv := range environ {
		name, _, ok := strings.Cut(kv, "=")
		if ok && name != instanceVar && envAllows(name, lists) {
			out = append(out, kv)
		}
	}
	return out
}

func envAllows(name string, lists [][]string) bool {
	for _, list := range lists {
		for _, pattern := range list {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			if name == pattern || isPrefix && strings.HasPrefix(name, prefix) {
				return true
			}
		}
	}
	return false
}
