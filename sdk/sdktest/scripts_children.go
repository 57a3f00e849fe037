package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// largeChild is the input of probe.spawn's second child: it travels in chunks.
var largeChild = strings.Repeat("z", 300<<10)

// seenChild is what probe.spawn says of a child that an earlier attempt made.
type seenChild struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Type   string `json:"type"`
	State  string `json:"state"`
	Result string `json:"result"`
	Error  string `json:"error"`
}

// spawn makes two children and rests until they are final; the next attempt says what it
// was told of them.
func spawn(ctx context.Context, in failInput, r sdk.Reporter) ([]seenChild, error) {
	if in.How == "nameless" {
		_, err := r.Spawn(ctx, sdk.Child{Type: probeOK})
		return nil, err
	}
	t, _ := sdk.TaskFrom(ctx)
	if len(t.Children) > 0 && t.Children[0].Final() {
		return sawChildren(t.Children), nil
	}
	retain, lost := 90*time.Minute, 0
	one := sdk.Child{Name: "one", Type: probeOK, Input: okInput{Say: "hi"}, Executor: "there", Priority: -7, Labels: map[string]string{"team": "a"},
		Route: map[string]string{"gpu": "yes"}, Timeout: time.Minute, Deadline: time.Now().Add(time.Hour), MaxAttempts: 5, MaxLost: &lost, Retain: &retain,
		Exclusive: []string{"door"}, Shared: []string{"hall"}}
	two := sdk.Child{Name: "two", Type: probeOK, Input: map[string]string{"say": largeChild}}
	for _, c := range []sdk.Child{one, two, one} { // twice the same is the same child
		id, err := r.Spawn(ctx, c)
		if err != nil {
			return nil, err
		}
		if id != childID(c.Name) {
			return nil, sdk.Permanent(errors.New("the id of a child is " + id))
		}
	}
	return nil, sdk.YieldForChildren(nil, []byte("spawned"))
}

func sawChildren(children []sdk.ChildStatus) (out []seenChild) {
	for _, c := range children {
		s := seenChild{Name: c.Name, ID: c.ID, Type: c.Type, State: c.State}
		var said string
		if err := c.Decode(&said); err != nil {
			s.Error = err.Error()
		} else {
			s.Result = digest([]byte(said))
		}
		out = append(out, s)
	}
	return out
}

// quoted is a text as JSON.
func quoted(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can be written
	}
	return b
}
