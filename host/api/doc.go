// Package api is /v1 as it goes over the wire: what is asked and answered, as Go
// types that are written and read as JSON. The server, the client and programs that
// speak to a host share them; package server serves them, package client asks.
//
// Where the domain has the same thing in the same words, its type is used (task.State,
// task.Code, task.LogLine, task.Instance). The others differ in what JSON wants of
// them: null for what is absent, durations as text, ids as text.
package api
