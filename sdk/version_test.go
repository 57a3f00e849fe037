package sdk

import (
	"context"
	"strings"
	"testing"
)

func TestValidVersion(t *testing.T) {
	for v, want := range map[string]bool{"1.4.0": true, "v1.4.0": true, "2": true, "1.2": true, "2.0.0-rc.1": true, "1.0.0+build.5": true, "v0.0.0-20261126072623-b6743d8a1c2f+dirty": true,
		"": false, "v": false, "latest": false, "1.2.3.4": false, "01.2.3": false, " 1.2.3": false, "vv1.2.3": false, "1.2.3\n": false,
		"1.0.0-" + strings.Repeat("x", 100): false} {
		if got := ValidVersion(v); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func TestNewEnough(t *testing.T) {
	for _, c := range []struct {
		version, least string
		want           bool
	}{
		{"", "", true}, {"1.0.0", "", true}, {"", "1.0.0", false}, {"none", "1.0.0", false},
		{"1.0.0", "1.0.0", true}, {"v1", "1.0.0", true}, {"1.10.0", "1.9.0", true}, {"1.9.0", "1.10.0", false},
		{"2.0.0-rc.1", "2.0.0", false}, {"2.0.0-rc.2", "2.0.0-rc.1", true}, {"2.0.0+a", "2.0.0+b", true},
	} {
		if got := NewEnough(c.version, c.least); got != c.want {
			t.Errorf("%q for %q: %v", c.version, c.least, got)
		}
	}
}

// A script whose version is none is a mistake that the program's first start tells.
func TestScriptVersions(t *testing.T) {
	script := func(v, least string) error {
		_, err := NewScripts(Func("a", func(context.Context, int, Reporter) (int, error) { return 0, nil }).Versioned(v).With(Defaults{MinVersion: least}))
		return err
	}
	if err := script("1.4.0", "1.2"); err != nil {
		t.Error(err)
	}
	for _, c := range [][3]string{{"new", "", `its version is "new"`}, {"1", "1.x", `its min_version is "1.x"`}} {
		if err := script(c[0], c[1]); err == nil || !strings.Contains(err.Error(), `task type "a": `+c[2]) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// A type without a version of its own has that of the process which offers it.
func TestTypesHaveTheirPluginsVersion(t *testing.T) {
	run := func(context.Context, int, Reporter) (int, error) { return 0, nil }
	for version, want := range map[string]string{"1.4.0": "1.4.0", "nightly": ""} {
		s := newServer(Plugin{Name: "p", Version: version, New: Scripts(Func("plain", run), Func("own", run).Versioned("3.0.0"))})
		info, err := connectTest(t, serveTest(t, s), HostOptions{}).Describe(t.Context())
		if err != nil || len(info.Types) != 2 || info.Types[0].Version != want || info.Types[1].Version != "3.0.0" {
			t.Errorf("a plugin of version %q offers %+v, %v", version, info.Types, err)
		}
	}
}
