// Package host is the roof: it joins store, engine, supervisor and REST to one
// program. Wiring only.
package host
