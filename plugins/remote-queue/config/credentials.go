package config

import (
	"errors"
)

// Credentials are how one proves to a broker who one is.
type Credentials struct{ Token, User, Password, Creds, CA, Cert, Key string }

// CanAuthenticate says that there is something to prove it by. A ca says who the broker is.
func (c Credentials) CanAuthenticate(urls string) bool {
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

// CheckCredentials insists on some for a broker that other machines reach.
func CheckCredentials(urls string, c Credentials, allowed bool) error {
	if allowed || onLoopback(urls) || c.CanAuthenticate(urls) {
		return nil
	}
	return errors.New("the broker at url is not on this machine, and anyone who reaches it could take tasks and answer for them: " +
		"set token, user and password, creds, or cert and key, so that it can ask who one is (allow_no_credentials = true goes without)")
}
