package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/taskhost/taskhost/host/task"
)

// setter puts an attribute's value where it belongs; its error completes the
// sentence "KEY …".
type setter func(cty.Value) error

func text(to *string) setter {
	return func(v cty.Value) error {
		if v.Type() != cty.String || v.IsNull() {
			return errors.New("is a string in quotes")
		}
		if *to = v.AsString(); *to == "" {
			return errors.New("must not be empty")
		}
		return nil
	}
}

func boolean(to *bool) setter {
	return func(v cty.Value) error {
		if v.Type() != cty.Bool || v.IsNull() {
			return errors.New("is true or false, without quotes")
		}
		*to = v.True()
		return nil
	}
}

// address is a text that can be listened on; whether everyone may reach it is
// for validate to say, when it is known which address is in force.
func address(to *string) setter {
	return func(v cty.Value) error {
		var addr string
		if err := text(&addr)(v); err != nil {
			return err
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("is host:port, such as %q", DefaultListen)
		}
		*to = addr
		return nil
	}
}

func enum(to *string, of []string) setter {
	return func(v cty.Value) error {
		if err := text(to)(v); err != nil {
			return err
		}
		if !slices.Contains(of, *to) {
			return fmt.Errorf("is one of %s", strings.Join(of, ", "))
		}
		return nil
	}
}

func onHostExit(to *string) setter {
	return func(v cty.Value) error {
		if err := enum(to, []string{task.OnHostExitDie, task.OnHostExitSurvive})(v); err != nil {
			return err
		}
		if *to == task.OnHostExitSurvive {
			return errors.New("= \"survive\" is not supported yet: a plugin process ends with its host")
		}
		return nil
	}
}

func sha256sum(to *string) setter {
	return func(v cty.Value) error {
		if err := text(to)(v); err != nil {
			return err
		}
		if b, err := hex.DecodeString(*to); err != nil || len(b) != 32 {
			return errors.New("is 64 hexadecimal digits, as sha256sum prints them")
		}
		*to = strings.ToLower(*to)
		return nil
	}
}

func count[T int | int64](to *T, least, most int64) setter {
	return func(v cty.Value) error {
		bad := fmt.Errorf("is a whole number from %d to %d", least, most)
		if v.Type() != cty.Number || v.IsNull() {
			return bad
		}
		n, acc := v.AsBigFloat().Int64()
		if acc != 0 || n < least || n > most {
			return bad
		}
		*to = T(n)
		return nil
	}
}

func duration(to *time.Duration) setter {
	return func(v cty.Value) error {
		if err := durationOrZero(to)(v); err != nil {
			return err
		}
		if *to == 0 {
			return errors.New("must be more than nothing")
		}
		return nil
	}
}

func durationOrZero(to *time.Duration) setter {
	return func(v cty.Value) error {
		bad := errors.New("is a duration such as \"30s\", \"10m\" or \"48h\"")
		if v.Type() != cty.String || v.IsNull() {
			return bad
		}
		d, err := time.ParseDuration(v.AsString())
		if err != nil || d < 0 {
			return bad
		}
		*to = d
		return nil
	}
}

var sizeText = regexp.MustCompile(`^([0-9]{1,12})(B|KiB|MiB|GiB)?$`)

func size(to *int64) setter {
	return func(v cty.Value) error {
		if v.Type() == cty.Number {
			return count(to, 1, math.MaxInt32)(v)
		}
		bad := errors.New("is a size such as \"512KiB\" or \"4MiB\", or a number of bytes, of at most 2GiB")
		if v.Type() != cty.String || v.IsNull() {
			return bad
		}
		m := sizeText.FindStringSubmatch(v.AsString())
		if m == nil {
			return bad
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		n <<= map[string]int{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[m[2]]
		if err != nil || n < 1 || n > math.MaxInt32 {
			return bad
		}
		*to = n
		return nil
	}
}

func texts(to *[]string) setter {
	return func(v cty.Value) error {
		bad := errors.New("is a list of strings")
		if v.IsNull() || !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
			return bad
		}
		for _, e := range v.AsValueSlice() {
			if e.Type() != cty.String || e.IsNull() {
				return bad
			}
			*to = append(*to, e.AsString())
		}
		return nil
	}
}

// labels reads the labels of a worker, or those that a route asks for.
func labels(to *map[string]string) setter {
	return func(v cty.Value) error {
		bad := errors.New("is a set of strings such as { zone = \"b\" }")
		if v.IsNull() || !v.Type().IsObjectType() && !v.Type().IsMapType() {
			return bad
		}
		out := map[string]string{}
		for k, e := range v.AsValueMap() {
			if e.Type() != cty.String || e.IsNull() {
				return bad
			}
			if !task.ValidLabelName(k) {
				return fmt.Errorf("has a label named %q: a name has 1 to %d bytes and no '='", k, task.MaxLabel)
			}
			out[k] = e.AsString()
		}
		*to = out
		return nil
	}
}
