package server

// handlers are what the routes are answered by: a method for each, named as its
// operation and in the file of the noun that it is about. They share what they serve
// and the bounds within which they do, and hold nothing of a request: each may run any
// number of times at once.
type handlers struct {
	svc  Service
	opts Options
	// openAPI is the document that describe made of the routes, once.
	openAPI []byte
	// openAPIErr is why there is no document. That would be a mistake of this
	// package, and no reason to serve nothing.
	openAPIErr error
}
