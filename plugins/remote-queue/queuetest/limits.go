package queuetest

import (
	"fmt"
	"strings"
)

// ManyDetails are n error details, or labels, of size bytes each.
func ManyDetails(n, size int) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		m[fmt.Sprintf("detail %d", i)] = strings.Repeat("x", size)
	}
	return m
}
