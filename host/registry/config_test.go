package registry

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

type checkedConfig struct {
	Hosts   []string     `json:"allow_hosts"`
	Ports   []int        `json:"allow_ports"`
	Timeout sdk.Duration `json:"timeout"`
	MaxSize sdk.Size     `json:"max_size"`
	Dir     sdk.Path     `json:"dir"`
	Quiet   bool         `json:"quiet"`
	Ratio   float64      `json:"ratio"`
	Inner   struct {
		A int      `json:"a/b ~c"`
		B struct{} `json:"b"`
	} `json:"inner"`
	ByName map[string]struct {
		N uint8 `json:"n"`
	} `json:"by_name"`
}

// Each fault is at its key, and says what belongs there or which key was meant.
func TestCheckConfig(t *testing.T) {
	schema := sdk.ConfigSchema(checkedConfig{})
	for config, want := range map[string][]string{
		``:     nil,
		`null`: {" is keys with values in { }"},
		`{"allow_hosts":["a"],"allow_ports":[1],"timeout":"1h30m","max_size":7,"dir":"x","quiet":true,"ratio":0.5,"inner":{"a/b ~c":1,"b":{}},"by_name":{"x":{"n":1}}}`: nil,
		`{"allow_hosts":null,"inner":{"b":null},"by_name":{"x":null},"timeout":null}`:                                                                                   nil,
		`{"alow_hosts":[],"allow_port":[]}`: {`allow_port is not known here; did you mean "allow_ports"?`, `alow_hosts is not known here; did you mean "allow_hosts"?`},
		`{"banana":1}`:                      {"banana is not known here; there are allow_hosts, allow_ports, by_name, dir,"},
		`{"inner":{"b":{"x":1}}}`:           {"inner.b.x is not known here, where there are no keys"},
		`{"inner":{"a/b ~d":1}}`:            {`inner.a/b ~d is not known here; did you mean "a/b ~c"?`},
		`{"inner":{"a/b ~c":"1"}}`:          {"inner.a/b ~c is a whole number"},
		`{"by_name":{"x":{"m":1}}}`:         {"by_name.x.m is not known here; there are n"},
		`{"by_name":{"x":{"n":256}}}`:       {"by_name.x.n is 255 at the most"},
		`{"allow_ports":["80"]}`:            {"allow_ports.0 is a whole number"},
		`{"allow_hosts":"a"}`:               {"allow_hosts is a list in [ ]"},
		`{"timeout":30}`:                    {`timeout is a duration such as "30s"`},
		`{"timeout":"30"}`:                  {`timeout is a duration such as "30s"`},
		`{"timeout":"0s"}`:                  {`timeout is a duration such as "30s"`},
		`{"max_size":"1MB"}`:                {`max_size is a size such as "512KiB"`},
		`{"max_size":0}`:                    {`max_size is a size such as "512KiB"`},
		`{"max_size":1.5}`:                  {`max_size is a size such as "512KiB"`},
		`{"dir":7}`:                         {"dir is the path of a file or directory, in quotes"},
		`{"quiet":"yes"}`:                   {"quiet is true or false, without quotes"},
		`{"ratio":"x"}`:                     {"ratio is a number"},
	} {
		faults, err := CheckConfig(t.Context(), schema, []byte(config))
		if err != nil {
			t.Errorf("%s: %v", config, err)
		}
		var got []string
		for _, f := range faults {
			got = append(got, strings.Join(f.Path, ".")+" "+f.Message)
		}
		if len(got) != len(want) {
			t.Errorf("%s: found %q, want %q", config, got, want)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: found %q, want %q", config, got[i], want[i])
			}
		}
	}
}

// A plugin that declares nothing has nothing checked, and one whose schema is none is told so.
func TestCheckConfigOfOtherPlugins(t *testing.T) {
	if faults, err := CheckConfig(t.Context(), nil, []byte(`{"a":1}`)); err != nil || faults != nil {
		t.Errorf("%v, %v", faults, err)
	}
	if _, err := CheckConfig(t.Context(), []byte(`{"type": 7}`), []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "schema that the plugin declares") {
		t.Errorf("a schema that is none: %v", err)
	}
	if _, err := CheckConfig(t.Context(), []byte(`{}`), []byte(`{`)); err == nil {
		t.Error("a config that is none is right")
	}
	faults, err := CheckConfig(t.Context(), []byte(`{"properties":{"a":{"enum":["x","y"]},"b":{"minLength":3}}}`), []byte(`{"a":"secret","b":"pw"}`))
	if err != nil || len(faults) != 2 {
		t.Fatal(faults, err)
	}
	for _, f := range faults {
		if strings.Contains(f.Message, "secret") || strings.Contains(f.Message, "pw") {
			t.Errorf("a value is told: %s", f.Message)
		}
	}
	keys := strings.Repeat(`"k":1,`, 1)
	for i := range 100 {
		keys += `"key` + strings.Repeat("x", i) + `":1,`
	}
	if faults, _ := CheckConfig(t.Context(), []byte(`{"additionalProperties":false}`), []byte("{"+strings.TrimSuffix(keys, ",")+"}")); len(faults) != maxFaults {
		t.Errorf("%d faults, want %d", len(faults), maxFaults)
	}
}

// Whatever a plugin declares and an operator writes, a check ends with faults or an error.
func FuzzCheckConfig(f *testing.F) {
	f.Add(string(sdk.ConfigSchema(checkedConfig{})), `{"alow_hosts":[],"timeout":30,"inner":{"a/b ~d":1}}`)
	f.Add(`{"$id":"x:y","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"additionalProperties":false}}}`, `{"a":{"c":1}}`)
	f.Add(`{"anyOf":[{"type":"string"},{"enum":[1,null]}],"not":{}}`, `[{"a":null}]`)
	f.Fuzz(func(t *testing.T, schema, config string) {
		faults, err := CheckConfig(t.Context(), []byte(schema), []byte(config))
		if err != nil && faults != nil || len(faults) > maxFaults {
			t.Errorf("%d faults and error %v", len(faults), err)
		}
		for _, fault := range faults {
			if fault.Message == "" || len(fault.Message) > maxFaultMessage+len("…") {
				t.Errorf("a fault says %q", fault.Message)
			}
		}
	})
}
