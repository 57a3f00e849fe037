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
	for _, k := range keys {
		if slices.ContainsFunc(k.names(), func(n []string) bool { return within(n, want) }) {
			found = append(found, k)
		}
	}
	if len(found) > 0 {
		return found, ""
	}
	var known []string
	for _, k := range keys {
		for _, n := range k.names() {
			for i := range n {
				known = append(known, strings.Join(n[i:], "."))
			}
			known = append(known, n...)
		}
	}
	return nil, task.Nearest(name, known)
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

// within says whether part is a part of path, without a gap.
func within(path, part []string) bool {
	for i := range len(path) - len(part) + 1 {
		same := true
		for j, p := range part {
			same = same && (path[i+j] == p || path[i+j] == anyName)
		}
		// A name alone says nothing: it would be any block's.
		if same && !(len(part) == 1 && path[i] == anyName && part[0] != anyName) {
			return true
		}
	}
	return false
}
