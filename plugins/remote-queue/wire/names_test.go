package wire

import (
	"testing"
)

func TestRoute(t *testing.T) {
	a, b := map[string]string{"x": "1", "y": "2"}, map[string]string{"y": "2", "x": "1"}
	key := func(labels map[string]string, minVersion string) string { return Route{labels, minVersion}.Key() }
	if key(a, "") != key(b, "") || key(nil, "") != AnyRoute || key(a, "") == key(map[string]string{"x": "1", "y": "3"}, "") ||
		key(map[string]string{"a": "b\"=\"c"}, "") == key(map[string]string{"a\"=\"b": "c"}, "") {
		t.Error("labels are confused")
	}
	if key(nil, "1.0.0") == AnyRoute || key(a, "1.0.0") == key(a, "") || key(nil, "1.0.0") == key(nil, "1.0.1") || key(a, "1.0.0") != key(b, "1.0.0") {
		t.Error("versions are confused")
	}
	for _, c := range []struct {
		route   Route
		labels  map[string]string
		version string
		want    bool
	}{
		{Route{}, nil, "", true}, {Route{Labels: map[string]string{"x": "1"}}, a, "", true}, {Route{Labels: map[string]string{"x": "2"}}, a, "", false},
		{Route{Labels: a}, nil, "9.0.0", false}, {Route{MinVersion: "1.2.0"}, nil, "1.10.0", true}, {Route{MinVersion: "1.2.0"}, a, "1.1.9", false},
		{Route{MinVersion: "1.2.0"}, nil, "", false}, {Route{a, "1.2.0"}, a, "1.2.0", true}, {Route{a, "1.2.0"}, a, "1.1.0", false}, {Route{a, "1.2.0"}, nil, "2.0.0", false},
	} {
		if got := c.route.MetBy(c.labels, c.version); got != c.want {
			t.Errorf("%+v by %v in version %q: %v", c.route, c.labels, c.version, got)
		}
	}
}
