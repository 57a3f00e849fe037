package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// What a task may spawn, and what its attempts are told of it.
const (
	// MaxChildren is how many children a task may have, over all its attempts.
	MaxChildren = 10_000
	// MaxChildName bounds a child's name, in bytes.
	MaxChildName = 255
	// MaxChildResults bounds the results of all children that an attempt is given, in bytes. What
	// has no room, in the order in which they were spawned, is left out: see ChildStatus.
	MaxChildResults = 16 << 20
)

// maxChildText bounds a child's names, labels and resources together, in bytes.
const maxChildText = 128 << 10

// Child is a task that an attempt makes of its own: see Reporter.Spawn. Zero and nil leave a
// value to the task type, where nothing else is said.
type Child struct {
	// Name tells the child from others of the same task, 1 to MaxChildName bytes. It is
	// what makes a spawn happen once: choose it by what the child does, not by chance.
	Name string
	// Type is any task type that the host knows, also of another executor.
	Type string
	// Input is a json.RawMessage or []byte, which is JSON as it is, or anything that
	// encoding/json can write; nil is null.
	Input any
	// Executor pins the child to an executor, whatever the config says.
	Executor string
	// Priority is the parent's if it is 0: children wait in their parent's place.
	Priority int
	Labels   map[string]string
	// Route asks for a worker with these labels.
	Route map[string]string
	// Timeout is of one attempt at the child, Deadline of the whole child.
	Timeout     time.Duration
	Deadline    time.Time
	MaxAttempts int
	MaxLost     *int
	// Retain is how long the child is kept once it and its parent are final.
	Retain *time.Duration
	// Exclusive and Shared are resources that the child needs. None of them may be a
	// resource of its parent, who holds it until the child is done: that is refused.
	Exclusive []string
	Shared    []string
}

// prepare makes a child ready to be handed on: its Input is a json.RawMessage then. Both
// halves of the protocol ask it, and so does every Reporter: what is wrong is wrong for good.
func (c *Child) prepare() error {
	switch {
	case c.Name == "" || len(c.Name) > MaxChildName:
		return fmt.Errorf("its name has %d bytes, 1 to %d are allowed", len(c.Name), MaxChildName)
	case !ValidTypeName(c.Type):
		return fmt.Errorf("%q is no task type's name", clip(c.Type, maxName))
	}
	size, sound := 0, true
	c.eachText(func(text string) {
		size += len(text)
		sound = sound && utf8.ValidString(text)
	})
	switch {
	case size > maxChildText:
		return fmt.Errorf("its labels, route and resources have %d bytes, at most %d are taken", size, maxChildText)
	case !sound:
		return errors.New("its name, its labels, its route or its resources are not UTF-8")
	}
	input, err := rawJSON(c.Input)
	if err != nil {
		return fmt.Errorf("its input: %w", err)
	}
	if len(input) > maxPayload {
		return fmt.Errorf("its input has %d bytes, at most %d are taken", len(input), maxPayload)
	}
	c.Input = input
	return nil
}

func rawJSON(v any) (json.RawMessage, error) {
	var data []byte
	switch v := v.(type) {
	case json.RawMessage:
		data = v
	case []byte:
		data = v
	default:
		return json.Marshal(v)
	}
	switch {
	case len(data) == 0:
		return json.RawMessage("null"), nil
	case len(data) <= maxPayload && !json.Valid(data):
		return nil, errors.New("it is not JSON")
	}
	return data, nil
}

// eachText is called with all texts that a child has beside its input.
func (c *Child) eachText(visit func(string)) {
	visit(c.Name)
	visit(c.Executor)
	for _, m := range []map[string]string{c.Labels, c.Route} {
		for k, v := range m {
			visit(k)
			visit(v)
		}
	}
	for _, name := range slices.Concat(c.Exclusive, c.Shared) {
		visit(name)
	}
}

// spawnError says which child nobody was asked for.
func spawnError(name string, err error) error {
	return fmt.Errorf("spawn %q: %w", clip(name, MaxChildName), err)
}

// ChildStatus is a child as it was when its parent's attempt began: see Task.Children.
type ChildStatus struct {
	Name string
	ID   string
	Type string
	// State is that of the child's task: pending, running, canceling, succeeded, failed,
	// canceled, or another of those that the API has.
	State string
	// Result is what a child left that succeeded; nil if it did not, and if the results of
	// the children before it had left no room, which ResultLeftOut says.
	Result        *Result
	ResultLeftOut bool
	// Failure is why one did not succeed; of one that goes on, why its last attempt did not.
	Failure *Failure
}

// Final says that nothing more will become of the child, unless somebody retries it.
func (c *ChildStatus) Final() bool {
	switch c.State {
	case "succeeded", "failed", "canceled", "skipped", "reverted", "revert_failed":
		return true
	}
	return false
}

// Succeeded says that the child did what it was spawned for.
func (c *ChildStatus) Succeeded() bool { return c.State == "succeeded" }

// Decode reads the child's result, which must be JSON, into v. Without a result it fails, and
// says what became of the child.
func (c *ChildStatus) Decode(v any) error {
	switch {
	case c.Result != nil:
		if err := json.Unmarshal(c.Result.Data, v); err != nil {
			return fmt.Errorf("result of child %q: %w", c.Name, err)
		}
		return nil
	case c.ResultLeftOut:
		return fmt.Errorf("the result of child %q was left out: those of all children have more than %d bytes", c.Name, MaxChildResults)
	case c.Failure != nil:
		return fmt.Errorf("child %q is %s: %s: %s", c.Name, c.State, c.Failure.Code, c.Failure.Message)
	}
	return fmt.Errorf("child %q is %s and has no result", c.Name, c.State)
}

// Child is the child of that name; false if the task had none when the attempt began.
func (t Task) Child(name string) (ChildStatus, bool) {
	for _, c := range t.Children {
		if c.Name == name {
			return c, true
		}
	}
	return ChildStatus{}, false
}

// childDocument is a child as it travels.
type childDocument struct {
	Name       string   `json:"name"`
	ID         string   `json:"id"`
	Type       string   `json:"type"`
	State      string   `json:"state"`
	ResultType string   `json:"result_type,omitempty"`
	Result     []byte   `json:"result,omitempty"`
	LeftOut    bool     `json:"result_left_out,omitempty"`
	Error      *Failure `json:"error,omitempty"`
}

// EncodeChildren writes children as they travel: the JSON that docs/protocol.md describes.
// None are nil.
func EncodeChildren(children []ChildStatus) []byte {
	if len(children) == 0 {
		return nil
	}
	docs := make([]childDocument, len(children))
	for i, c := range children {
		docs[i] = childDocument{Name: c.Name, ID: c.ID, Type: c.Type, State: c.State, LeftOut: c.ResultLeftOut, Error: c.Failure}
		if c.Result != nil {
			docs[i].ResultType = c.Result.ContentType
			docs[i].Result = c.Result.Data
		}
	}
	data, err := json.Marshal(docs)
	if err != nil {
		return nil // strings, bytes and booleans: there is nothing that could not be written
	}
	return data
}

// DecodeChildren reads what EncodeChildren wrote. The error says that it is nothing such, or
// more than a task may have.
func DecodeChildren(data []byte) ([]ChildStatus, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var docs []childDocument
	if err := json.Unmarshal(data, &docs); err != nil {
		return nil, fmt.Errorf("the task's children cannot be read: %w", err)
	}
	if len(docs) > MaxChildren {
		return nil, fmt.Errorf("the task has %d children, at most %d are taken", len(docs), MaxChildren)
	}
	out := make([]ChildStatus, len(docs))
	for i, d := range docs {
		out[i] = ChildStatus{Name: d.Name, ID: d.ID, Type: d.Type, State: d.State, ResultLeftOut: d.LeftOut, Failure: d.Error}
		if d.ResultType != "" {
			out[i].Result = &Result{ContentType: d.ResultType, Data: d.Result}
		}
	}
	return out, nil
}
