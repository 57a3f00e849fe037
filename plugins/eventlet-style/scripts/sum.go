package scripts

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// errNotNumbers is the whole message: clients written for an older service of
// this kind compare it.
var errNotNumbers = errors.New("Input must be a sequence of numbers!") //nolint:revive,staticcheck // the text is given

// Sum adds up a JSON array of numbers and answers in plain text, written as
// Python writes a float: 15.0.
func Sum() sdk.Script {
	return sdk.Script{
		TypeInfo: sdk.TypeInfo{
			Name:        "sum",
			Description: "Adds up an array of numbers.",
			// Any value is let through: the script itself says what is wrong.
			Input: schema(`{"description": "a JSON array of numbers"}`),
		},
		Run: sum,
	}
}

func sum(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(t.Input, &items); err != nil || items == nil {
		return sdk.Result{}, sdk.Permanent(errNotNumbers)
	}
	total := 0.0
	for _, item := range items {
		if c := item[0]; c != '-' && (c < '0' || c > '9') { // valid JSON: then it is no number
			return sdk.Result{}, sdk.Permanent(errNotNumbers)
		}
		// Out of range gives an infinity, as it does in Python.
		f, err := strconv.ParseFloat(string(item), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return sdk.Result{}, sdk.Permanent(errNotNumbers)
		}
		total += f
	}
	return sdk.Text(pythonFloat(total)), nil
}

// pythonFloat writes f as Python's repr does: the fewest digits that read back as
// f, with an exponent below 1e-4 and from 1e16 on, and always visibly a float.
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, ok := strings.Cut(s, "e")
	if !ok { // no number has none: NaN and the infinities
		return strings.ToLower(strings.TrimPrefix(s, "+"))
	}
	if n, err := strconv.Atoi(exponent); err != nil || n < -4 || n >= 16 {
		return s
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
