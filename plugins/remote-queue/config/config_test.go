package config

import (
	"testing"
)

// Workers are told of the host's REST where they can reach it.
func TestRestURL(t *testing.T) {
	const here, there = "http://127.0.0.1:7070", "http://10.0.0.1:7070"
	for _, c := range []struct {
		conf        Executor
		hosts, want string
	}{
		{Executor{}, here, here},
		{Executor{Listen: "127.0.0.1:4222"}, here, here},
		{Executor{Listen: "0.0.0.0:4222"}, here, ""},
		{Executor{Listen: "0.0.0.0:4222"}, there, there},
		{Executor{URL: "nats://127.0.0.1:4222, nats://localhost:4223"}, here, here},
		{Executor{URL: "nats://127.0.0.1:4222,nats://10.0.0.5:4222"}, here, ""},
		{Executor{URL: "nats://10.0.0.5:4222"}, there + "/", there},
		{Executor{URL: "nats://10.0.0.5:4222", HostURL: there}, here, there},
		{Executor{HostURL: "none"}, here, ""},
		{Executor{}, "", ""},
	} {
		if got := c.conf.RestURL(c.hosts); got != c.want {
			t.Errorf("%+v and a host at %q: %q, want %q", c.conf, c.hosts, got, c.want)
		}
	}
}
