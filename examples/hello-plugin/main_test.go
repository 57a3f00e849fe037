package main

import (
	"testing"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	sdktest.Run(t, sdktest.Harness{
		Plugin: hello(),
		Type:   "greet", Input: `{"name":"you"}`,
		Permanent: sdktest.Case{Type: "greet", Input: `{"name":""}`},
		Log:       sdktest.Case{Type: "greet", Input: `{"name":"you"}`},
		Result: func(t *testing.T, res sdk.Result) {
			if got, want := string(res.Data), `{"message":"Hello, you!"}`; got != want {
				t.Errorf("greet says %s, want %s", got, want)
			}
		},
	})
}
