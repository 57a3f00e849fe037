package task

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"listen", "data_dir", "plugin_dir", "allow_hosts", "allow_ports", "slots", "url"}
	for name, want := range map[string]string{
		"listne": "listen", "lisen": "listen", "allow_host": "allow_hosts", "alow_ports": "allow_ports", "Data_Dir": "data_dir",
		"slot": "slots", "slotz": "slots", "ulr": "url", "plugins_dir": "plugin_dir",
		"": "", "x": "", "l": "", "banana": "", "port": "", "listen": "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("%q is near %q, want %q", name, got, want)
		}
	}
	if got := Nearest("abc", nil); got != "" {
		t.Errorf("near nothing: %q", got)
	}
}

func FuzzNearest(f *testing.F) {
	f.Add("listne", "listen")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 100 || len(b) > 100 {
			return
		}
		const far = 1000
		d := editDistance(a, b, far)
		if (d == 0) != (a == b) || d != editDistance(b, a, far) || d > max(len(a), len(b)) {
			t.Errorf("%q and %q are %d apart", a, b, d)
		}
	})
}
