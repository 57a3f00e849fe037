package engine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// NoPolls leaves the engine with nothing but its wake-ups. Call it before Start.
func (e *Engine) NoPolls() { e.polls = polls{dispatch: time.Hour, promote: time.Hour} }

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
