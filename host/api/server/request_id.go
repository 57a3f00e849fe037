package server

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
)

// requestIDHeader names a request in its answer, in the log and in the audit.
const requestIDHeader = "X-Request-Id"

// givenRequestID is what a client or a proxy may choose.
var givenRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// giveRequestID gives a request the id that its sender chose, or one of its own, and tells it
// in the answer.
func giveRequestID(w http.ResponseWriter, r *http.Request) {
	given := r.Header[requestIDHeader]
	if len(given) > 0 && givenRequestID.MatchString(given[0]) {
		w.Header()[requestIDHeader] = given[:1:1]
		return
	}
	var random [12]byte
	_, _ = rand.Read(random[:]) // it never fails
	var digits [2 * len(random)]byte
	hex.Encode(digits[:], random[:])
	w.Header()[requestIDHeader] = []string{string(digits[:])}
}

// requestIDOf is the id of the request that w answers.
func requestIDOf(w http.ResponseWriter) string { return w.Header().Get(requestIDHeader) }
