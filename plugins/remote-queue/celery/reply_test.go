package celery

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/taskhost/taskhost/sdk"
)

const jsonType = "application/json"

// What becomes of an attempt by each reply that ends it, as Celery 5.2 writes them.
func TestOutcomeOfReplies(t *testing.T) {
	for name, c := range map[string]struct {
		body, contentType string
		compressed        bool
		started           bool
		kind              sdk.OutcomeKind
		code, message     string
		permanent         bool
		details           map[string]string
	}{
		"success":   {body: `{"status":"SUCCESS","result":{"a":1.50},"traceback":null,"children":[]}`, kind: sdk.OutcomeSucceeded},
		"no result": {body: `{"status":"SUCCESS","result":null}`, kind: sdk.OutcomeSucceeded},
		"failure": {body: `{"status":"FAILURE","result":{"exc_type":"ValueError","exc_message":["no","good",3],"exc_module":"builtins"},"traceback":"Traceback: here"}`,
			kind: sdk.OutcomeFailed, code: sdk.CodeScriptFailed, message: "ValueError: no, good, 3", details: map[string]string{"type": "ValueError", "traceback": "Traceback: here"}},
		"an app's own exception": {body: `{"status":"FAILURE","result":{"exc_type":"Gone","exc_message":[],"exc_module":"proj.errors"},"traceback":null}`,
			kind: sdk.OutcomeFailed, code: sdk.CodeScriptFailed, message: "Gone", details: map[string]string{"type": "proj.errors.Gone"}},
		"an older form":    {body: `{"status":"FAILURE","result":{"exc_type":"KeyError","exc_message":"'x'"}}`, kind: sdk.OutcomeFailed, code: sdk.CodeScriptFailed, message: "KeyError: 'x'"},
		"no exception":     {body: `{"status":"FAILURE","result":"boom"}`, kind: sdk.OutcomeFailed, code: sdk.CodeScriptFailed, message: "boom"},
		"a process died":   {body: `{"status":"FAILURE","result":{"exc_type":"WorkerLostError","exc_message":["signal 9"]}}`, kind: sdk.OutcomeLost, code: sdk.CodeExecutorLost, message: "WorkerLostError: signal 9"},
		"the app's limit":  {body: `{"status":"FAILURE","result":{"exc_type":"TimeLimitExceeded","exc_message":[5]}}`, kind: sdk.OutcomeFailed, code: sdk.CodeTimeout, message: "TimeLimitExceeded: 5"},
		"an unknown task":  {body: `{"status":"FAILURE","result":{"exc_type":"NotRegistered","exc_message":["proj.x"]}}`, kind: sdk.OutcomeFailed, code: sdk.CodeExecutorFailed, message: "proj.x"},
		"expired":          {body: `{"status":"REVOKED","result":{"exc_type":"TaskRevokedError","exc_message":["expired"]}}`, kind: sdk.OutcomeReleased},
		"expired later":    {body: `{"status":"REVOKED","result":{"exc_type":"TaskRevokedError","exc_message":["expired"]}}`, started: true, kind: sdk.OutcomeFailed, code: sdk.CodeTimeout},
		"revoked":          {body: `{"status":"REVOKED","result":{"exc_type":"TaskRevokedError","exc_message":["terminated"]}}`, kind: sdk.OutcomeFailed, code: sdk.CodePermanent, permanent: true, message: "revoked in Celery: terminated"},
		"pickle":           {body: "\x80\x04", contentType: "application/x-python-serialize", kind: sdk.OutcomeFailed, code: sdk.CodeProtocolError, permanent: true, message: "result_serializer"},
		"compressed":       {body: "x", compressed: true, kind: sdk.OutcomeFailed, code: sdk.CodeProtocolError, permanent: true, message: "result_compression"},
		"no JSON":          {body: `{"status":"SUCCESS","result":NaN}`, kind: sdk.OutcomeFailed, code: sdk.CodeProtocolError, permanent: true, message: "NaN"},
		"not a traceback":  {body: `{"status":"FAILURE","result":{"exc_type":7},"traceback":null}`, kind: sdk.OutcomeFailed, code: sdk.CodeScriptFailed},
		"a long traceback": {body: `{"status":"FAILURE","result":{},"traceback":"` + strings.Repeat("é", maxTraceback) + `end"}`, kind: sdk.OutcomeFailed, code: sdk.CodeScriptFailed},
	} {
		contentType := c.contentType
		if contentType == "" {
			contentType = jsonType
		}
		r := decodeReply("the-id", contentType, c.compressed, []byte(c.body))
		if r.TaskID != "the-id" || !r.final() {
			t.Errorf("%s: it is of %q and ends nothing", name, r.TaskID)
		}
		o := r.outcome(c.started)
		if o.Kind != c.kind || o.Code != c.code || o.Permanent != c.permanent || !strings.Contains(o.Message, c.message) {
			t.Errorf("%s: %+v", name, o)
		}
		for key, want := range c.details {
			if o.Details[key] != want {
				t.Errorf("%s: detail %s is %q", name, key, o.Details[key])
			}
		}
		if o.Kind == sdk.OutcomeSucceeded && !strings.Contains(c.body, `"result":`+string(o.Result.Data)) {
			t.Errorf("%s: the result is %s", name, o.Result.Data)
		}
		if text := o.Details["traceback"]; len(text) > maxTraceback+2*len("…") || !utf8.ValidString(text) || text != "" && !strings.HasSuffix(c.body, text[len(text)-3:]+`"}`) {
			t.Errorf("%s: the traceback has %d bytes", name, len(text))
		}
	}
}

// Progress is read as people write it.
func TestProgressOfReplies(t *testing.T) {
	for meta, want := range map[string]progress{
		`{"done":3,"total":10,"message":"a third"}`:     {3, 10, "a third"},
		`{"current":3.9,"total":10.0,"status":"going"}`: {3, 10, "going"},
		`{"done":"3","total":10}`:                       {0, 10, "PROGRESS"},
		`{"done":-1,"total":1e400}`:                     {0, 0, "PROGRESS"},
		`{"done":1e300}`:                                {1 << 53, 0, "PROGRESS"},
		`null`:                                          {0, 0, "PROGRESS"},
		`"half"`:                                        {0, 0, "PROGRESS"},
	} {
		r := decodeReply("id", jsonType, false, []byte(`{"status":"PROGRESS","result":`+meta+`}`))
		if got := r.progress(); got != want {
			t.Errorf("%s: %+v, want %+v", meta, got, want)
		}
	}
}

// Whatever a reply holds: it is read, and the host can keep what becomes of it.
func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte(`{"task_id":"x","status":"FAILURE","result":{"exc_type":"E","exc_message":["a",[1]],"exc_module":"m"},"traceback":"t"}`), jsonType, false)
	f.Add([]byte(`{"status":"PROGRESS","result":{"done":1}}`), jsonType, true)
	f.Add([]byte(`{"status":"STARTED","result":{"hostname":"c@h","pid":1}}`), "application/x-yaml", false)
	f.Fuzz(func(t *testing.T, body []byte, contentType string, compressed bool) {
		r := decodeReply("id", contentType, compressed, body)
		_ = r.startedOn()
		if p := r.progress(); p.done < 0 || p.total < 0 {
			t.Errorf("progress %+v", p)
		}
		o := r.outcome(compressed)
		if o.Kind == sdk.OutcomeSucceeded && !json.Valid(o.Result.Data) {
			t.Errorf("%q gives a result that is no JSON: %q", body, o.Result.Data)
		}
		if len(o.Details["traceback"]) > 2*maxTraceback {
			t.Errorf("a traceback of %d bytes", len(o.Details["traceback"]))
		}
	})
}

// Whatever a worker tells of itself, or answers, is read or left out.
func FuzzDecodeControl(f *testing.F) {
	f.Add([]byte(`{"type":"worker-heartbeat","hostname":"celery@h","pid":4,"active":1,"sw_ident":"py-celery","sw_ver":"5.2.6"}`))
	f.Add([]byte(`[{"type":"task-started","uuid":"u","hostname":"celery@h"},{"type":1}]`))
	f.Add([]byte(`{"celery@h":[{"name":"celery"}]}`))
	f.Add([]byte(`{"celery@h":["proj.add [exchange=x]"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, ev := range decodeEvents(body) {
			if ev.Hostname == "" || len(ev.Hostname) > maxName || len(ev.softwareVersion()) > 100 {
				t.Errorf("event %+v", ev)
			}
		}
		for _, queues := range decodeQueues(body) {
			if queues == nil {
				t.Error("a worker that answers has said nothing")
			}
		}
		decodeTasks(body)
		parseJournal(body, time.Now(), map[string]time.Time{})
	})
}

// A journal keeps what was published and is not settled, over a restart and a torn line.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{messageID(sdk.Token{1}), messageID(sdk.Token{2}), messageID(sdk.Token{3})}
	for _, id := range ids {
		if err := j.add(id); err != nil {
			t.Fatal(err)
		}
	}
	j.remove(ids[0])
	if err := j.rewrite(); err != nil { // as after many
		t.Fatal(err)
	}
	if err := j.add(ids[0]); err != nil {
		t.Fatal(err)
	}
	j.remove(ids[2])
	if _, err := j.file.WriteString(ids[0][:20]); err != nil {
		t.Fatal(err)
	}
	again, err := openJournal(dir) // the first did not close: it was killed
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, true} { // what was removed since is no harm
		if at, ok := again.at(ids[i]); ok != want || ok && time.Since(at) > time.Minute {
			t.Errorf("message %d: %v, %v", i, at, ok)
		}
	}
	again.remove(ids[2])
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
	last, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := last.at(ids[2]); ok || len(last.live) != 2 {
		t.Errorf("after a close %d messages are kept", len(last.live))
	}
	if err := last.close(); err != nil {
		t.Fatal(err)
	}
}
