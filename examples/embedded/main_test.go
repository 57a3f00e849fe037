package main

import (
	"context"
	"os"
)

func Example_run() {
	dir, err := os.MkdirTemp("", "embedded")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := run(context.Background(), dir); err != nil {
		panic(err)
	}
	// Output: succeeded "3 boxes of apples"
}
