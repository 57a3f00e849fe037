package config

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// A block for the workers of a Celery app says what it needs, and refuses what has no use.
func TestCeleryBlock(t *testing.T) {
	const tasks = `"tasks":{"add":"proj.add"}`
	for block, want := range map[string]string{
		`{"url":"amqp://127.0.0.1","protocol":"celery",` + tasks + `}`:                         "",
		`{"url":"amqps://u:p@10.0.0.1/vhost","protocol":"celery","queue":"a b",` + tasks + `}`: "",
		`{"protocol":"celery",` + tasks + `}`:                                                  "url is missing",
		`{"url":"nats://127.0.0.1","protocol":"celery",` + tasks + `}`:                         "needs RabbitMQ",
		`{"url":"redis://127.0.0.1","protocol":"celery",` + tasks + `}`:                        "needs RabbitMQ",
		`{"url":"amqp://127.0.0.1","protocol":"celery"}`:                                       "tasks is missing",
		`{"url":"amqp://127.0.0.1","protocol":"sidekiq"}`:                                      `protocol "sidekiq"`,
		`{"url":"amqp://127.0.0.1",` + tasks + `}`:                                             `tasks belong to protocol = "celery"`,
		`{"url":"amqp://127.0.0.1","protocol":"celery","tasks":{"a b":"x"}}`:                   `"a b" can be no task type`,
		`{"url":"amqp://127.0.0.1","protocol":"celery","tasks":{"add":""}}`:                    `for type "add" is empty`,
		`{"url":"amqp://127.0.0.1","protocol":"celery","token":"x",` + tasks + `}`:             "have no use",
		`{"url":"amqp://127.0.0.1","protocol":"celery","lapse":"3s",` + tasks + `}`:            "5s at the least",
		`{"url":"amqp://10.0.0.1","protocol":"celery",` + tasks + `}`:                          "not on this machine",
	} {
		c, err := Parse(sdk.NewConfig("c", []byte(block), nil))
		if want == "" && (err != nil || c.Queue != "celery" && c.Queue != "a b") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: queue %q, %v", block, c.Queue, err)
		}
	}
	if c, err := Parse(sdk.NewConfig("c", []byte(`{}`), nil)); err != nil || c.Queue != "default" {
		t.Errorf("queue %q, %v", c.Queue, err)
	}
}
