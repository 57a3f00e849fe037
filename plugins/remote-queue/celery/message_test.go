package celery

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

func TestParseCall(t *testing.T) {
	for input, want := range map[string]string{
		`{"args":[1,2],"kwargs":{"z":3}}`:    `[1,2] {"z":3}`,
		`{"args":[12345678901234567890.10]}`: `[12345678901234567890.10] {}`,
		`{"kwargs":{"z":3}}`:                 `[] {"z":3}`,
		`{}`:                                 `[] {}`,
		`null`:                               `[] {}`,
		`{"args":null}`:                      `[] {}`,
		`{"args":{}}`:                        "",
		`{"kwargs":[]}`:                      "",
		`[1,2]`:                              "",
		`{"arg":[1]}`:                        "",
		`{"args":[1], "kwargs":{}, "countdown": 10}`: "",
	} {
		c, err := parseCall([]byte(input))
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is taken", input)
		case want != "" && (err != nil || string(c.Args)+" "+string(c.Kwargs) != want):
			t.Errorf("%s: %s %s, %v", input, c.Args, c.Kwargs, err)
		}
	}
}

// A message has all that protocol 2 asks for, and what leads back to the task.
func TestEncodeTask(t *testing.T) {
	task := sdk.Task{ID: "01990f4e-0000-7000-8000-000000000000", Attempt: 2, Token: sdk.Token{1, 2}, Input: []byte(`{"args":["` + strings.Repeat("é", 600) + `"]}`),
		Trace: map[string]string{"traceparent": "00-1-2-01"}}
	m, err := encodeTask(&task, "proj.tasks.add", "taskhost@x")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"lang": "py", "task": "proj.tasks.add", "id": m.id, "root_id": task.ID, "retries": int64(0), "eta": nil,
		"expires": nil, "traceparent": "00-1-2-01", "taskhost_task": task.ID, "taskhost_attempt": int64(2), "kwargsrepr": "{}"} {
		if m.headers[key] != want {
			t.Errorf("header %s is %v, want %v", key, m.headers[key], want)
		}
	}
	if repr, _ := m.headers["argsrepr"].(string); len(repr) > maxRepr+len("…") || strings.ContainsRune(repr, '�') {
		t.Errorf("argsrepr has %d bytes: %s", len(repr), repr)
	}
	hidden := task
	hidden.Secret = true
	if m, err := encodeTask(&hidden, "proj.tasks.add", "taskhost@x"); err != nil || m.headers["argsrepr"] != "***" || m.headers["kwargsrepr"] != "***" {
		t.Errorf("workers are told the secrets of a task for their logs: %v, %v", m.headers, err)
	}
	var body []any
	if err := json.Unmarshal(m.body, &body); err != nil || len(body) != 3 {
		t.Errorf("the body is %s", m.body)
	}
	if strings.Contains(m.id, task.Token.String()) || len(m.id) != 36 || m.id != messageID(task.Token) || m.id == messageID(sdk.Token{1, 3}) {
		t.Errorf("the message id %s of token %s", m.id, task.Token)
	}
}

func FuzzParseCall(f *testing.F) {
	f.Add([]byte(`{"args":[1],"kwargs":{"a":{}}}`))
	f.Add([]byte(`{"args": [] } x`))
	f.Fuzz(func(t *testing.T, input []byte) {
		c, err := parseCall(input)
		if err != nil {
			return
		}
		if !json.Valid(c.Args) || !json.Valid(c.Kwargs) || c.Args[0] != '[' || c.Kwargs[0] != '{' {
			t.Errorf("%q becomes %q, %q", input, c.Args, c.Kwargs)
		}
		if _, err := encodeTask(&sdk.Task{Input: input}, "n", "o"); err != nil {
			t.Errorf("%q is taken and cannot be sent: %v", input, err)
		}
	})
}
