package scripts

import (
	"context"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

const (
	maxSleep = 7 * 24 * 3600 // seconds
	maxSteps = 1_000_000
)

// Sleep rests for some seconds, in steps that show as progress. It remembers
// nothing: a second attempt sleeps from the start.
func Sleep() sdk.Script {
	return sdk.Script{
		TypeInfo: sdk.TypeInfo{
			Name:        "sleep",
			Description: "Sleeps, with progress.",
			Input: schema(`{
  "type": "object", "additionalProperties": false, "required": ["seconds"],
  "properties": {
    "seconds": {"type": "number", "minimum": 0, "maximum": 604800},
    "steps": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 10}
  }
}`),
			Result: schema(`{"type": "object", "required": ["slept"], "properties": {"slept": {"type": "number"}}}`),
		},
		Run: sleep,
	}
}

func sleep(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	in := struct {
		Seconds float64 `json:"seconds"`
		Steps   int64   `json:"steps"`
	}{Steps: 10}
	if err := t.Decode(&in); err != nil {
		return sdk.Result{}, err
	}
	if in.Seconds < 0 || in.Seconds > maxSleep || in.Steps < 1 || in.Steps > maxSteps {
		return sdk.Result{}, sdk.Permanent(fmt.Errorf("sleep: seconds must be within 0 to %d, steps within 1 to %d", maxSleep, maxSteps))
	}
	whole := time.Duration(in.Seconds * float64(time.Second))
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	r.Progress(0, in.Steps, "sleeping")
	for step := int64(1); step <= in.Steps; step++ {
		// Measured from the start, so that late wake-ups do not add up.
		timer.Reset(time.Until(began.Add(time.Duration(float64(whole) * float64(step) / float64(in.Steps)))))
		select {
		case <-timer.C:
			r.Progress(step, in.Steps, "sleeping")
		case <-ctx.Done():
			return sdk.Result{}, fmt.Errorf("woken at step %d of %d: %w", step, in.Steps, context.Cause(ctx))
		}
	}
	return sdk.JSON(map[string]float64{"slept": in.Seconds})
}
