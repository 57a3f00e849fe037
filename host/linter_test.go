package host

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// The linter, which says at once and at which line what is refused, has the same table: a
// rule of depguard for each room, with what it allows.
func TestLinterHasTheImportTable(t *testing.T) {
	rules := depguardRules(t)
	for _, room := range slices.Sorted(maps.Keys(table)) {
		rule := rules[room]
		if pure := rules["pure"]; rule == nil && slices.Contains(pure.files, room) {
			rule = pure
		}
		if rule == nil {
			t.Errorf(".golangci.yml has no depguard rule for %s", room)
			continue
		}
		if !slices.Contains(rule.files, room) {
			t.Errorf("the depguard rule for %s is for %q", room, rule.files)
		}
		var want []string
		for _, own := range table[room].own {
			want = append(want, strings.TrimSuffix(module+own, "..."))
		}
		for _, lib := range table[room].libs {
			want = append(want, strings.TrimSuffix(lib, "..."))
		}
		// What is below a path takes the path itself as well.
		all := slices.Clone(want)
		want = slices.DeleteFunc(want, func(path string) bool { return slices.Contains(all, path+"/") })
		slices.Sort(want)
		slices.Sort(rule.allow)
		if !slices.Equal(want, rule.allow) {
			t.Errorf("%s may import\n%q here, and\n%q in .golangci.yml", room, want, rule.allow)
		}
	}
}

// depguardRule is a rule as .golangci.yml has it. What it allows is a package, or all
// below a path that ends in a slash.
type depguardRule struct {
	files []string // the folders
	allow []string // without the standard library
}

// depguardRules reads no more of the file's format than stands in it.
func depguardRules(t *testing.T) map[string]*depguardRule {
	t.Helper()
	text, err := os.ReadFile("../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n    depguard:\n      rules:\n")
	if !ok {
		t.Fatal(".golangci.yml has no rules of depguard")
	}
	rules := map[string]*depguardRule{}
	var rule *depguardRule
	list := ""
	for line := range strings.Lines(section) {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		key, value, _ := strings.Cut(line, ":")
		switch {
		case indent < 8:
			return rules
		case indent == 8 && !strings.HasPrefix(line, "#"):
			rule = &depguardRule{}
			rules[key] = rule
		case indent == 10:
			list = key
			if key == "files" {
				rule.files = folders(value)
			}
		case indent == 12 && list == "allow" && line != "- $gostd":
			rule.allow = append(rule.allow, allowedPath(strings.TrimPrefix(line, "- ")))
		}
	}
	return rules
}

// folders are those that the patterns in a list such as ["**/host/task/*.go", "!$test"] name.
func folders(list string) (out []string) {
	for _, pattern := range strings.Split(strings.Trim(strings.TrimSpace(list), "[]"), ", ") {
		if folder, ok := strings.CutPrefix(strings.Trim(pattern, `"`), "**/"); ok {
			out = append(out, strings.TrimSuffix(folder, "/*.go"))
		}
	}
	return out
}

// allowedPath is a path of a rule: one that ends in $ is a package, any other begins paths.
func allowedPath(rule string) string {
	if exact, ok := strings.CutSuffix(rule, "$"); ok {
		return exact
	}
	return strings.TrimSuffix(rule, "/") + "/"
}
