package config

import "testing"

// The scheme says whose a broker is, and one of nobody's is refused.
func TestOnRabbitMQ(t *testing.T) {
	for urls, want := range map[string]struct{ rabbit, ok bool }{
		"":                                  {false, true},
		"10.0.0.5:4222":                     {false, true},
		"nats://a, tls://b":                 {false, true},
		"amqp://u:p@a:5672, amqps://u:p@b/": {true, true},
		"amqp://a,nats://b":                 {false, false},
		"http://a":                          {false, false},
	} {
		if rabbit, err := OnRabbitMQ(urls); rabbit != want.rabbit || (err == nil) != want.ok {
			t.Errorf("%q: %v, %v", urls, rabbit, err)
		}
	}
}
