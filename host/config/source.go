package config

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// source is the file that a config was read from, and where in it each key stands. The zero
// value is no file.
type source struct {
	name string
	text []byte
	// dir is the file's folder, against which its relative paths are meant.
	dir string
	at  map[string]hcl.Range
}

func newSource(name string, text []byte) (source, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return source{}, err
	}
	return source{name: name, text: text, dir: filepath.Dir(path), at: map[string]hcl.Range{}}, nil
}

// addParts remembers where the parts of an object or a list stand, as far as they are
// written out.
func (s *source) addParts(path string, e hcl.Expression) {
	if pairs, diags := hcl.ExprMap(e); !diags.HasErrors() {
		for _, p := range pairs {
			key, diags := p.Key.Value(nil)
			if diags.HasErrors() || key.IsNull() || !key.IsKnown() || key.Type().FriendlyName() != "string" {
				continue
			}
			s.at[join(path, key.AsString())] = p.Key.Range()
			s.addParts(join(path, key.AsString()), p.Value)
		}
		return
	}
	if list, diags := hcl.ExprList(e); !diags.HasErrors() {
		for i, e := range list {
			part := join(path, strconv.Itoa(i))
			s.at[part] = e.Range()
			s.addParts(part, e)
		}
	}
}

// find is where a key stands, or what holds it; nil if that is not in the file.
func (s *source) find(key string) *hcl.Range {
	for key != "" {
		if r, ok := s.at[key]; ok {
			return &r
		}
		key = key[:max(0, strings.LastIndexByte(key, '.'))]
	}
	return nil
}
