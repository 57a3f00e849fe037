package config

import (
	"testing"
)

// A broker that other machines reach needs credentials, of the host and of workers; one
// that asks nobody is warned of, once.
func TestCredentials(t *testing.T) {
	const far = "nats://10.0.0.5:4222"
	for name, c := range map[string]struct {
		url   string
		c     Credentials
		allow bool
		ok    bool
		prove bool
	}{
		"none":             {url: far},
		"none, allowed":    {url: far, allow: true, ok: true},
		"loopback":         {url: "localhost:4222, tls://[::1]:4222", ok: true},
		"one is elsewhere": {url: "nats://127.0.0.1," + far},
		"not an address":   {url: "nats://127.0.0.1:4222,nats://%zz"},
		"token":            {url: far, c: Credentials{Token: "t"}, ok: true, prove: true},
		"password":         {url: far, c: Credentials{User: "u", Password: "p"}, ok: true, prove: true},
		"user alone":       {url: far, c: Credentials{User: "u"}},
		"creds":            {url: far, c: Credentials{Creds: "file"}, ok: true, prove: true},
		"certificate":      {url: far, c: Credentials{Cert: "file", Key: "file"}, ok: true, prove: true},
		"ca alone":         {url: far, c: Credentials{CA: "file"}},
		"in the address":   {url: "nats://u:p@10.0.0.5", ok: true, prove: true},
		"in one of two":    {url: "nats://u:p@10.0.0.5," + far},
	} {
		if err := CheckCredentials(c.url, c.c, c.allow); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if got := CanAuthenticate(c.url, c.c); got != c.prove {
			t.Errorf("%s: they prove: %v", name, got)
		}
	}
}
