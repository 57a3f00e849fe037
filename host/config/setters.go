package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/taskhost/taskhost/host/task"
)

// setter reads the value of one key into the field to. is says what a value is, and
// completes the sentence "KEY …", as the error of read does.
type setter struct {
	to   any
	is   string
	read func(cty.Value) error
	// zero says that zero is a value like another, and not none.
	zero bool
	// bytes says that the field is a number of bytes.
	bytes bool
	// absolute is the field, where it is shown as it was made and not as it was written.
	absolute *string
}

// bad is the error of a value that is something else.
func (s *setter) bad() error { return errors.New(s.is) }

func text(to *string) setter {
	s := setter{to: to, is: "is a string in quotes"}
	s.read = func(v cty.Value) error {
		if v.Type() != cty.String || v.IsNull() {
			return s.bad()
		}
		if *to = v.AsString(); *to == "" {
			return errors.New("must not be empty")
		}
		return nil
	}
	return s
}

// path is a text that names a file or directory; a relative one is meant against dir.
func path(to *string, dir string) setter {
	s := text(to)
	read := s.read
	s.is = "is a path in quotes"
	s.absolute = to
	s.read = func(v cty.Value) error {
		if err := read(v); err != nil {
			return err
		}
		if !filepath.IsAbs(*to) {
			*to = filepath.Join(dir, *to)
		}
		return nil
	}
	return s
}

func boolean(to *bool) setter {
	s := setter{to: to, is: "is true or false, without quotes", zero: true}
	s.read = func(v cty.Value) error {
		if v.Type() != cty.Bool || v.IsNull() {
			return s.bad()
		}
		*to = v.True()
		return nil
	}
	return s
}

// address is a text that can be listened on; whether everyone may reach it is
// for validate to say, when it is known which address is in force.
func address(to *string) setter {
	s := setter{to: to, is: fmt.Sprintf("is host:port, such as %q", DefaultListen)}
	s.read = func(v cty.Value) error {
		var addr string
		if err := text(&addr).read(v); err != nil {
			return err
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return s.bad()
		}
		*to = addr
		return nil
	}
	return s
}

func enum(to *string, of []string) setter {
	s := setter{to: to, is: "is one of " + strings.Join(of, ", ")}
	s.read = func(v cty.Value) error {
		if err := text(to).read(v); err != nil {
			return err
		}
		if !slices.Contains(of, *to) {
			return s.bad()
		}
		return nil
	}
	return s
}

func onHostExit(to *string) setter {
	s := enum(to, []string{task.OnHostExitDie, task.OnHostExitSurvive})
	read := s.read
	s.is = "is die: a plugin process ends with its host"
	s.read = func(v cty.Value) error {
		if err := read(v); err != nil {
			return err
		}
		if *to == task.OnHostExitSurvive {
			return errors.New("= \"survive\" is not supported yet: a plugin process ends with its host")
		}
		return nil
	}
	return s
}

func sha256sum(to *string) setter {
	s := setter{to: to, is: "is 64 hexadecimal digits, as sha256sum prints them"}
	s.read = func(v cty.Value) error {
		if err := text(to).read(v); err != nil {
			return err
		}
		if b, err := hex.DecodeString(*to); err != nil || len(b) != 32 {
			return s.bad()
		}
		*to = strings.ToLower(*to)
		return nil
	}
	return s
}

func count[T int | int64](to *T, least, most int64) setter {
	s := setter{to: to, is: fmt.Sprintf("is a whole number from %d to %d", least, most), zero: least <= 0}
	s.read = func(v cty.Value) error {
		if v.Type() != cty.Number || v.IsNull() {
			return s.bad()
		}
		n, acc := v.AsBigFloat().Int64()
		if acc != 0 || n < least || n > most {
			return s.bad()
		}
		*to = T(n)
		return nil
	}
	return s
}

// optional has of set the field only if the key is there: nil says nothing.
func optional[T any](to **T, of func(*T) setter) setter {
	s := of(new(T))
	return setter{to: to, is: s.is, zero: s.zero, read: func(v cty.Value) error {
		value := new(T)
		if err := of(value).read(v); err != nil {
			return err
		}
		*to = value
		return nil
	}}
}

func duration(to *time.Duration) setter {
	s := durationOrZero(to)
	read := s.read
	s.read = func(v cty.Value) error {
		if err := read(v); err != nil {
			return err
		}
		if *to == 0 {
			return errors.New("must be more than nothing")
		}
		return nil
	}
	return s
}

func durationOrZero(to *time.Duration) setter {
	s := setter{to: to, is: "is a duration such as \"30s\", \"10m\" or \"48h\""}
	s.read = func(v cty.Value) error {
		if v.Type() != cty.String || v.IsNull() {
			return s.bad()
		}
		d, err := time.ParseDuration(v.AsString())
		if err != nil || d < 0 {
			return s.bad()
		}
		*to = d
		return nil
	}
	return s
}

var sizeText = regexp.MustCompile(`^([0-9]{1,12})(B|KiB|MiB|GiB|TiB)?$`)

func size(to *int64) setter {
	return sizeUpTo(to, math.MaxInt32, "is a size such as \"512KiB\" or \"4MiB\", or a number of bytes, of at most 2GiB")
}

func sizeUpTo(to *int64, most int64, is string) setter {
	s := setter{to: to, is: is, bytes: true}
	s.read = func(v cty.Value) error {
		if v.Type() == cty.Number {
			return count(to, 1, most).read(v)
		}
		if v.Type() != cty.String || v.IsNull() {
			return s.bad()
		}
		m := sizeText.FindStringSubmatch(v.AsString())
		if m == nil {
			return s.bad()
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		shift := map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[m[2]]
		if err != nil || n < 1 || n > most>>shift {
			return s.bad()
		}
		*to = n << shift
		return nil
	}
	return s
}

func texts(to *[]string) setter {
	s := setter{to: to, is: "is a list of strings"}
	s.read = func(v cty.Value) error {
		if v.IsNull() || !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
			return s.bad()
		}
		var all []string
		for _, e := range v.AsValueSlice() {
			if e.Type() != cty.String || e.IsNull() {
				return s.bad()
			}
			all = append(all, e.AsString())
		}
		*to = all
		return nil
	}
	return s
}

// textMap reads the labels of a worker, or those that a route asks for.
func textMap(to *map[string]string) setter {
	s := setter{to: to, is: "is a set of strings such as { zone = \"b\" }"}
	s.read = func(v cty.Value) error {
		if v.IsNull() || !v.Type().IsObjectType() && !v.Type().IsMapType() {
			return s.bad()
		}
		out := map[string]string{}
		for k, e := range v.AsValueMap() {
			if e.Type() != cty.String || e.IsNull() {
				return s.bad()
			}
			if !task.ValidLabelName(k) {
				return fmt.Errorf("has a label named %q: a name has 1 to %d bytes and no '='", k, task.MaxLabel)
			}
			out[k] = e.AsString()
		}
		*to = out
		return nil
	}
	return s
}
