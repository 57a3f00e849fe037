// Package api is taskhost's outside over HTTP: the routes under /v1, the one
// table from error codes to statuses, the OpenAPI document made from the same
// list of routes that are served, and a Client of all of it in Go.
//
// The handlers are plain net/http: huma describes them (types to schemas, routes
// to operations) but does not run them. Its errors have another shape, which can
// be changed only by a package variable; its decoder takes names whatever their
// case and the last of two equal ones. That a submit is a little cheaper without
// it (BenchmarkSubmit) was not the reason.
package api
