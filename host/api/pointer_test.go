package api

import (
	"slices"
	"testing"
)

func TestPointers(t *testing.T) {
	for pointer, parts := range map[string][]string{
		"": nil, "/": {""}, "/key": {"key"}, "/tasks/3/labels/a~1b~0": {"tasks", "3", "labels", "a/b~"}, "/~01": {"~1"}, "//x": {"", "x"},
	} {
		if got := Pointer(parts); got != pointer {
			t.Errorf("%q: the pointer is %q, want %q", parts, got, pointer)
		}
		if got := path(pointer); !slices.Equal(got, parts) {
			t.Errorf("%q: the path is %q, want %q", pointer, got, parts)
		}
	}
	if got := path("no pointer"); !slices.Equal(got, []string{"no pointer"}) {
		t.Errorf("what is no pointer: %q", got)
	}
}
