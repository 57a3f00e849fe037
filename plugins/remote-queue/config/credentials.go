package config

import (
	"errors"

	"github.com/taskhost/taskhost/sdk"
)

// Credentials are how one proves to a broker who one is, and how one knows the broker, as
// operators write them.
type Credentials struct {
	Token    string   `json:"token" jsonschema:"one secret for all workers of a queue, or this worker's own"`
	User     string   `json:"user" jsonschema:"for brokers that ask for a user and a password"`
	Password string   `json:"password" jsonschema:"the user's"`
	Creds    sdk.Path `json:"creds" jsonschema:"a file that holds a NATS user's credentials; not for RabbitMQ"`
	CA       sdk.Path `json:"ca" jsonschema:"a file, for TLS: who signed the broker's certificate"`
	Cert     sdk.Path `json:"cert" jsonschema:"a file, for TLS: one's own certificate, or that of the host's own broker. It goes together with key"`
	Key      sdk.Path `json:"key" jsonschema:"a file, for TLS: the private key of cert"`
}

// CanAuthenticate says that there is something to prove to the brokers at urls who one is. A
// ca says who the broker is.
func CanAuthenticate(urls string, c Credentials) bool {
	if c.Token != "" || c.User != "" && c.Password != "" || c.Creds != "" || c.Cert != "" {
		return true
	}
	all := brokerURLs(urls)
	for _, u := range all {
		if u.User == nil {
			return false
		}
	}
	return len(all) > 0
}

// CheckCredentials refuses to go without for a broker that other machines reach.
func CheckCredentials(urls string, c Credentials, allowed bool) error {
	if allowed || onLoopback(urls) || CanAuthenticate(urls, c) {
		return nil
	}
	return errors.New("the broker at url is not on this machine, and anyone who reaches it could take tasks and answer for them: " +
		"set token, user and password, creds, or cert and key, so that it can ask who one is (allow_no_credentials = true goes without)")
}
