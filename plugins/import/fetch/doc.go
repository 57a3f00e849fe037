// Package fetch makes HTTP requests to addresses that a stranger chose. A task's
// input may name any URL, so the client refuses whatever the host's machine can
// reach and a stranger on the internet cannot: loopback, private networks, the
// cloud's metadata service, and the many other spellings of them.
//
// The check that counts is made on the resolved address, between the lookup and
// the connect: a name that resolves elsewhere on the second lookup gains nothing. URLs are
// checked as well, the first one and each redirect's, for clearer errors and for ports.
package fetch
