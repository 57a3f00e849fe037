package wire

import (
	"testing"
)

func TestRouteKey(t *testing.T) {
	a, b := map[string]string{"x": "1", "y": "2"}, map[string]string{"y": "2", "x": "1"}
	if RouteKey(a) != RouteKey(b) || RouteKey(nil) != AnyRoute || RouteKey(a) == RouteKey(map[string]string{"x": "1", "y": "3"}) ||
		RouteKey(map[string]string{"a": "b\"=\"c"}) == RouteKey(map[string]string{"a\"=\"b": "c"}) {
		t.Error("routes are confused")
	}
	if !LabelsSatisfy(a, map[string]string{"x": "1"}) || LabelsSatisfy(a, map[string]string{"x": "2"}) || LabelsSatisfy(nil, a) || !LabelsSatisfy(nil, nil) {
		t.Error("labels are confused")
	}
}
