package fleet

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

func TestConfigRefused(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		want     string
	}{
		"open to all":      {map[string]any{"listen": "0.0.0.0:0"}, "worker_tokens"},
		"listen and url":   {map[string]any{"url": "nats://127.0.0.1:4222", "listen": "127.0.0.1:0"}, "listen"},
		"lapse too short":  {map[string]any{"heartbeat": "1s", "lapse": "1s"}, "lapse"},
		"not a duration":   {map[string]any{"lapse": "soon"}, "soon"},
		"number":           {map[string]any{"lapse": 5}, "duration"},
		"queue with dots":  {map[string]any{"queue": "a.b"}, "queue"},
		"cert without key": {map[string]any{"cert": "x"}, "key"},
		"user embedded":    {map[string]any{"user": "x"}, "url"},
		"unknown":          {map[string]any{"lisen": "127.0.0.1:0"}, "lisen"},
		"no credentials":   {map[string]any{"url": "nats://127.0.0.1:4222,nats://10.0.0.5:4222"}, "set token, user and password"},
		"a user alone":     {map[string]any{"url": "10.0.0.5:4222", "user": "x"}, "allow_no_credentials"},
		"a ca alone":       {map[string]any{"url": "nats://10.0.0.5", "ca": "x"}, "creds, or cert and key"},
		"open embedded":    {map[string]any{"allow_no_credentials": true}, "url"},
		"port taken":       {map[string]any{"listen": takenAddress(t)}, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := tryFleet(t, t.TempDir(), c.settings)
			if err == nil {
				_ = f.Close()
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error does not say %q: %v", c.want, err)
			}
		})
	}
}

func takenAddress(t *testing.T) string {
	return queuetest.NewProxy(t, "").Addr()
}
