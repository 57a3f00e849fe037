package celery

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/taskhost/taskhost/sdk"
)

// inputSchema is what every task type takes: the arguments of the call.
const inputSchema = `{"type":["object","null"],"description":"the arguments of the task's function",` +
	`"properties":{"args":{"type":"array","description":"those without a name, in order"},` +
	`"kwargs":{"type":"object","description":"those with a name"}},"additionalProperties":false}`

// call is the input of a task: the arguments as the client wrote them.
type call struct {
	Args   json.RawMessage `json:"args"`
	Kwargs json.RawMessage `json:"kwargs"`
}

// parseCall reads an input; what it leaves out is empty.
func parseCall(input []byte) (call, error) {
	var c call
	dec := json.NewDecoder(bytes.NewReader(input))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf(`the input is not {"args": […], "kwargs": {…}}: %w`, err)
	}
	c.Args = bytes.TrimSpace(c.Args)
	c.Kwargs = bytes.TrimSpace(c.Kwargs)
	if len(c.Args) == 0 || string(c.Args) == "null" {
		c.Args = json.RawMessage("[]")
	}
	if len(c.Kwargs) == 0 || string(c.Kwargs) == "null" {
		c.Kwargs = json.RawMessage("{}")
	}
	if c.Args[0] != '[' || c.Kwargs[0] != '{' {
		return c, errors.New(`the input is not {"args": […], "kwargs": {…}}`)
	}
	return c, nil
}

// messageID is the id that Celery knows an attempt by. Each attempt has its own, since workers
// refuse an id for good that was revoked. It is made of the token, so that a later process of
// the host finds it again, and does not tell it: the token is a secret, and Celery logs ids.
func messageID(t sdk.Token) string {
	sum := sha256.Sum256(append([]byte("taskhost celery message "), t[:]...))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80 // version 8: made in a way of one's own
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// taskMessage is one message of Celery's protocol 2.
type taskMessage struct {
	id      string
	headers map[string]any
	body    []byte
}

// maxRepr is how many bytes of the arguments workers are told for their logs.
const maxRepr = 1024

// encodeTask makes the message that has a worker run the task name for t. It says nothing of
// when it expires: a task of Celery 5.2 that got that cannot retry itself.
func encodeTask(t *sdk.Task, name, origin string) (taskMessage, error) {
	c, err := parseCall(t.Input)
	if err != nil {
		return taskMessage{}, err
	}
	body, err := json.Marshal([]any{c.Args, c.Kwargs, map[string]any{"callbacks": nil, "errbacks": nil, "chain": nil, "chord": nil}})
	if err != nil {
		return taskMessage{}, err
	}
	id := messageID(t.Token)
	args, kwargs := shorten(c.Args), shorten(c.Kwargs)
	if t.Secret { // workers log these, and show them to whoever asks
		args, kwargs = "***", "***"
	}
	headers := map[string]any{
		"lang": "py", "task": name, "id": id, "root_id": t.ID, "parent_id": nil, "group": nil, "group_index": nil, "shadow": nil,
		"eta": nil, "expires": nil, "retries": int64(0),
		"timelimit": []any{nil, nil}, "argsrepr": args, "kwargsrepr": kwargs, "origin": origin, "ignore_result": false,
		"taskhost_task": t.ID, "taskhost_attempt": int64(t.Attempt),
	}
	for key, value := range t.Trace {
		headers[key] = value
	}
	return taskMessage{id: id, headers: headers, body: body}, nil
}

// shorten is text that is short enough for a log, and valid.
func shorten(text []byte) string {
	if len(text) <= maxRepr {
		return string(text)
	}
	cut := text[:maxRepr]
	for !utf8.Valid(cut) && len(cut) > maxRepr-utf8.UTFMax {
		cut = cut[:len(cut)-1]
	}
	return string(cut) + "…"
}
