// Package api is taskhost's outside over HTTP: the routes under /v1, the one
// table from error codes to statuses, the OpenAPI document made from the same
// list of routes that are served, and a Client of all of it in Go.
//
// The handlers are plain net/http: huma describes them (types to schemas, routes
// to operations) but does not run them, because a submit is the hot path and the
// error shape is ours. See docs/design.md.
package api
