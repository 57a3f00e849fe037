package config

import (
	"errors"
	"math"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// display is a value as config show prints it.
func display(v cty.Value) string {
	if v.Type() == cty.String && !v.IsNull() && v.IsKnown() {
		return v.AsString()
	}
	data, err := marshal(v)
	if err != nil {
		return "?"
	}
	return string(data)
}

// marshal is v in JSON. A number that no float64 holds is refused: 1e999999999 is
// eleven bytes in the file and a gigabyte in JSON.
func marshal(v cty.Value) ([]byte, error) {
	err := cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		if e.IsNull() || !e.IsKnown() || e.Type() != cty.Number {
			return true, nil
		}
		f := e.AsBigFloat()
		if x, _ := f.Float64(); math.IsInf(x, 0) || x == 0 && f.Sign() != 0 {
			return false, errors.New("a number in it is out of range")
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return ctyjson.Marshal(v, v.Type())
}
