package main

import "testing"

func TestRun(t *testing.T) {
	if err := run(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
}

func Example_run() {
	main()
	// Output: succeeded "3 boxes of apples"
}
