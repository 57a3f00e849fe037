package config

import (
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// FindKeys are those of keys that name means: by the whole path or a part of it, with the
// name of a block or without, or below the plugin's name. A block brings its keys along. near
// is what was probably meant where there is none.
func FindKeys(keys []Key, name string) (found []Key, near string) {
	want := strings.Split(name, ".")
	find := func(means func(path, want []string) bool) bool {
		for _, k := range keys {
			if slices.ContainsFunc(k.names(), func(n []string) bool { return means(n, want) }) {
				found = append(found, k)
			}
		}
		return len(found) > 0
	}
	if find(isPart) || find(isPartWithName) {
		return found, ""
	}
	var known []string
	for _, k := range keys {
		for _, n := range k.names() {
			for end := range len(n) {
				for begin := range end + 1 {
					known = append(known, strings.Join(n[begin:end+1], "."))
				}
			}
		}
	}
	if near = task.Nearest(name, known); near == "" {
		find(isNamedBlock)
	}
	return found, near
}

// names are the ways to name the key: each a path, of which a part will do.
func (k *Key) names() [][]string {
	path := strings.Split(k.Path, ".")
	all := [][]string{path, slices.DeleteFunc(slices.Clone(path), func(part string) bool { return part == anyName })}
	if k.Plugin != "" {
		own := strings.TrimPrefix(k.Path, "executor."+anyName+".config.")
		all = append(all, append([]string{k.Plugin}, strings.Split(own, ".")...))
	}
	return all
}

// anyName stands in a path for the name that the operator gives a block.
const anyName = "NAME"

// isPart says whether part is a part of path, without a gap.
func isPart(path, part []string) bool { return startsWithin(path, part, slices.Equal) }

// isPartWithName is isPart where a block may have any name, and something stands below it.
func isPartWithName(path, part []string) bool {
	return startsWithin(path, part, func(of, part []string) bool { return of[len(of)-1] != anyName && equalButNames(of, part) })
}

// isNamedBlock is isPartWithName where the name is the last.
func isNamedBlock(path, part []string) bool {
	return len(part) > 1 && startsWithin(path, part, equalButNames)
}

func startsWithin(path, part []string, equal func(of, part []string) bool) bool {
	for i := range len(path) - len(part) + 1 {
		if equal(path[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

func equalButNames(of, part []string) bool {
	return slices.EqualFunc(of, part, func(o, p string) bool { return o == p || o == anyName })
}
