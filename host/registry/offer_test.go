package registry

import (
	"encoding/json"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// A schema is compiled once, however often its executor is asked.
func TestSchemaIsCompiledOncePerChange(t *testing.T) {
	info := sdk.Info{Types: []sdk.TypeInfo{{Name: "work", Input: json.RawMessage(`{"type":"object"}`)}}}
	first := newOffer(info, true, nil)
	again := newOffer(info, true, first.notLive())
	if again.types["work"].schema != first.types["work"].schema {
		t.Error("the same schema was compiled anew")
	}
	info.Types = []sdk.TypeInfo{{Name: "work", Input: json.RawMessage(`{"type":"array"}`)}}
	if newOffer(info, true, again).types["work"].schema == first.types["work"].schema {
		t.Error("another schema, and the old one is in force")
	}
}
