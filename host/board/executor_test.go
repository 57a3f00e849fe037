package board

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

func TestExecutorConfig(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                  "",
		`{"types":["a"]}`:                     "",
		`{"types":["a b"]}`:                   "types: ",
		`{"types":["a","a"]}`:                 "twice",
		`{"types":["a"],"inputs":{"b":{}}}`:   "none of types",
		`{"type":["a"]}`:                      "type",
		`{"types":["a"],"inputs":{"a":true}}`: "inputs",
	} {
		_, err := newExecutor(nil, sdk.NewConfig("x", []byte(config), nil))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
	x, err := newExecutor(nil, sdk.NewConfig("x", []byte(`{"types":["a"],"inputs":{"a":{"type":"object"}}}`), nil))
	if err != nil {
		t.Fatal(err)
	}
	info, err := x.Describe(t.Context())
	if err != nil || !info.Deferred || !info.Outlives || info.Slots != defaultSlots || string(info.Types[0].Input) != `{"type":"object"}` {
		t.Errorf("%+v, %v", info, err)
	}
}
