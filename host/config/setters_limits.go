package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/taskhost/taskhost/host/task"
)

// concurrency reads the limits on how many attempts may be under way at once.
func concurrency(to *[]task.Concurrency) setter {
	s := setter{to: to, is: `is a list of limits such as [{ max = 10 }, { max = 2, by = "owner" }, { max = 1, by = "label:tenant" }]`}
	s.read = func(v cty.Value) error {
		if v.IsNull() || !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
			return s.bad()
		}
		limits := []task.Concurrency{}
		for i, e := range v.AsValueSlice() {
			var c task.Concurrency
			if err := members(e, map[string]setter{"max": count(&c.Max, 1, task.MaxConcurrency), "by": text(&c.By)}, "max"); err != nil {
				return fmt.Errorf("has a limit, number %d, that %w", i+1, err)
			}
			limits = append(limits, c)
		}
		var bad task.Faults
		bad.CheckConcurrency("", limits)
		if len(bad) > 0 {
			return errors.New(bad[0].Message)
		}
		*to = limits
		return nil
	}
	return s
}

// rate reads the limit on how many attempts may begin.
func rate(to *task.Rate) setter {
	s := setter{to: to, is: "is a rate such as { per_second = 10, burst = 20 }"}
	s.read = func(v cty.Value) error {
		var r task.Rate
		if err := members(v, map[string]setter{"per_second": number(&r.PerSecond), "burst": count(&r.Burst, 1, task.MaxBurst)}, "per_second"); err != nil {
			return err
		}
		var bad task.Faults
		bad.CheckRate("", r)
		if len(bad) > 0 {
			return errors.New(bad[0].Message)
		}
		*to = r
		return nil
	}
	return s
}

// semanticVersion reads a version that others are compared with.
func semanticVersion(to *string) setter {
	s := setter{to: to, is: `is a semantic version such as "1.4.0", in quotes`}
	s.read = func(v cty.Value) error {
		if v.Type() != cty.String || v.IsNull() || !task.ValidVersion(v.AsString()) {
			return s.bad()
		}
		*to = v.AsString()
		return nil
	}
	return s
}

func number(to *float64) setter {
	s := setter{to: to, is: "is a number"}
	s.read = func(v cty.Value) error {
		if v.Type() != cty.Number || v.IsNull() {
			return s.bad()
		}
		*to, _ = v.AsBigFloat().Float64()
		return nil
	}
	return s
}

// members reads the members of an object, of which one is needed. The error completes
// "KEY …".
func members(v cty.Value, set map[string]setter, needed string) error {
	if v.IsNull() || !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return errors.New("is no set of values in { }")
	}
	values := v.AsValueMap()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s, known := set[name]
		if !known {
			return fmt.Errorf("has a value named %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(set)), " and "))
		}
		if err := s.read(values[name]); err != nil {
			return fmt.Errorf("has a value %s that %w", name, err)
		}
	}
	if _, there := values[needed]; !there {
		return fmt.Errorf("lacks %s", needed)
	}
	return nil
}
