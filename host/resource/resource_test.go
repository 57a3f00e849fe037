package resource_test

import (
	"testing"

	"github.com/taskhost/taskhost/host/resource"
)

func TestGrant(t *testing.T) {
	const s, x = resource.Shared, resource.Exclusive
	for name, c := range map[string]struct {
		held    int64
		last    resource.Mode
		waiting []resource.Mode
		want    int
	}{
		"nobody waits":                     {0, s, nil, 0},
		"one alone":                        {0, s, []resource.Mode{x, x, s}, 1},
		"all who share":                    {0, s, []resource.Mode{s, s, s}, 3},
		"shared up to the first exclusive": {0, s, []resource.Mode{s, s, x, s}, 2},
		"beside others who share":          {5, s, []resource.Mode{s, x}, 1},
		"an exclusive waits for them":      {1, s, []resource.Mode{x, s}, 0},
		"nothing beside an exclusive":      {1, x, []resource.Mode{s, s}, 0},
	} {
		if got := resource.Grant(c.held, c.last, c.waiting); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
