package config

import "errors"

// Credentials are how one proves to a broker who one is, and how one knows the broker, as
// operators write them.
type Credentials struct {
	// Token is one secret for all workers of a queue, or for this one.
	Token string `json:"token"`
	// User and Password are for brokers that ask for them.
	User     string `json:"user"`
	Password string `json:"password"`
	// Creds is a file that holds a NATS user's credentials.
	Creds string `json:"creds"`
	// CA, Cert and Key are files, for TLS: who signed the broker's certificate, and one's
	// own. Cert and Key go together. For an embedded broker they are the server's.
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
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
