package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

type testConfig struct {
	Dir      Path            `json:"dir" jsonschema:"where things go"`
	MaxSize  Size            `json:"max_size"`
	Timeout  Duration        `json:"timeout"`
	Hosts    []string        `json:"hosts"`
	Files    []Path          `json:"files"`
	ByName   map[string]Path `json:"by_name"`
	Inner    *testInner      `json:"inner"`
	Embedded                 // its keys stand beside the others
}

type Embedded struct {
	CA Path `json:"ca"`
}

type testInner struct {
	Key Path `json:"key"`
	N   int  `json:"n"`
}

// A schema says of each key what it may be and what holds without it, and requires none.
func TestConfigSchema(t *testing.T) {
	got := ConfigSchema(testConfig{MaxSize: 64 << 30, Timeout: Duration(time.Minute), Hosts: []string{"a"}})
	var s struct {
		Additional any `json:"additionalProperties"`
		Required   []string
		Properties map[string]struct {
			Type, Default       any
			Format, Description string
			Properties          map[string]any
			Required            []string
		}
	}
	if err := json.Unmarshal(got, &s); err != nil {
		t.Fatal(err)
	}
	p := s.Properties
	if s.Additional == nil || s.Required != nil || len(p) != 8 || p["inner"].Required != nil || len(p["inner"].Properties) != 2 {
		t.Errorf("schema %s", got)
	}
	if d := p["dir"]; d.Type != "string" || d.Format != FormatPath || d.Description != "where things go" || d.Default != nil {
		t.Errorf("dir: %+v", d)
	}
	if p["max_size"].Default != "64GiB" || p["timeout"].Default != "1m" || !reflect.DeepEqual(p["hosts"].Default, []any{"a"}) || p["ca"].Format != FormatPath {
		t.Errorf("schema %s", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a config of channels has a schema")
		}
	}()
	ConfigSchema(struct{ C chan int }{})
}

// Relative paths are meant against the folder of the file, wherever in a config they stand.
func TestConfigPaths(t *testing.T) {
	const data = `{"dir":"images","max_size":1,"hosts":["h"],"files":["a","/b","../c"],"by_name":{"x":"y","z":""},"inner":{"key":"k","n":2},"ca":"ca.pem"}`
	cfg := NewConfig("x", []byte(data), nil)
	var plain testConfig
	if err := cfg.Decode(&plain); err != nil || plain.Dir != "images" {
		t.Errorf("without a folder: %+v, %v", plain, err)
	}
	cfg.Dir = "/etc/taskhost"
	var got testConfig
	if err := cfg.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := testConfig{Dir: "/etc/taskhost/images", MaxSize: 1, Hosts: []string{"h"}, Files: []Path{"/etc/taskhost/a", "/b", "/etc/c"},
		ByName: map[string]Path{"x": "/etc/taskhost/y", "z": ""}, Inner: &testInner{Key: "/etc/taskhost/k", N: 2}, Embedded: Embedded{CA: "/etc/taskhost/ca.pem"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v\nwant\n%+v", got, want)
	}
	hidden := struct {
		m map[string]Path
		A any `json:"a"`
	}{m: map[string]Path{"a": "b"}}
	if err := (Config{Dir: "/x", data: []byte(`{"a":{"b":["c",null]}}`)}).Decode(&hidden); err != nil || hidden.m["a"] != "b" {
		t.Errorf("%+v, %v", hidden, err)
	}
}

// What an error says to write stands where the key is read, in the file's own syntax.
func TestConfigAttribute(t *testing.T) {
	cfg := NewConfig("x", nil, nil)
	for got, want := range map[string]string{
		cfg.Attribute("allow_ports", []int{80, 443}):                                   `allow_ports = [80,443]`,
		cfg.Sub(nil, "scripts", "http").Attribute("allow_hosts", []string{"a&b"}):      `scripts = { http = { allow_hosts = ["a&b"] } }`,
		cfg.Sub(nil, "scripts").Sub(nil, "my.script").Attribute("t", "${x} and %{if}"): `scripts = { "my.script" = { t = "$${x} and %%{if}" } }`,
	} {
		if got != want {
			t.Errorf("to write: %s, want %s", got, want)
		}
	}
}

// A host that only asks hears what the plugin is, which is not configured by that; and the
// host's own check of a config comes before the plugin's.
func TestMetadata(t *testing.T) {
	made := false
	p := Plugin{Name: "p", Version: "3", ConfigSchema: ConfigSchema(testConfig{}), Types: []string{"a", "b"}, Nodes: true,
		New: func(Config) (Executor, error) { made = true; return nil, errors.New("no") }}
	cc := serveTest(t, newServer(p))
	raw, err := MetadataSide(time.Minute)[PluginKey].(*metadataSide).GRPCClient(t.Context(), nil, cc)
	if m, ok := raw.(Metadata); err != nil || !ok || !reflect.DeepEqual(m, p.Metadata()) || made {
		t.Errorf("metadata %+v, %v; made %v", raw, err, made)
	}
	heard := Metadata{}
	_, err = connect(t.Context(), cc, HostOptions{Config: NewConfig("x", nil, nil), Check: func(m Metadata) error { heard = m; return errors.New("dri is no key") }})
	if !errors.Is(err, ErrConfigRefused) || !strings.Contains(err.Error(), "dri is no key") || made || heard.Version != "3" {
		t.Errorf("refused by %v; made %v, heard %+v", err, made, heard)
	}
}

// A plugin from before the question goes on working, and one that says too much is refused.
func TestMetadataOfOthers(t *testing.T) {
	old := &answering{server: newServer(Plugin{Name: "old", Version: "1", New: Scripts(Func("t", func(context.Context, int, Reporter) (int, error) { return 1, nil }))}),
		err: status.Error(codes.Unimplemented, "unknown method Metadata")}
	heard := &Metadata{Version: "none"}
	c := connectTest(t, serveAs(t, old), HostOptions{Check: func(m Metadata) error { heard = &m; return nil }})
	if !reflect.DeepEqual(*heard, Metadata{}) || c.Hello().Version != "1" {
		t.Errorf("heard %+v of version %s", heard, c.Hello().Version)
	}
	for _, m := range []*pb.MetadataResponse{{Types: make([]string, maxInfoTypes+1)}, {ConfigSchema: make([]byte, maxInfoBytes+1)}} {
		_, err := askMetadata(t.Context(), pb.NewExecutorServiceClient(serveAs(t, &answering{server: newServer(Plugin{}), metadata: m})))
		if err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("too much: %v", err)
		}
	}
	big := newServer(Plugin{ConfigSchema: make([]byte, maxInfoBytes+1)})
	if _, err := askMetadata(t.Context(), pb.NewExecutorServiceClient(serveTest(t, big))); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too much: %v", err)
	}
}

// answering is a plugin whose answer to Metadata is given.
type answering struct {
	*server
	metadata *pb.MetadataResponse
	err      error
}

func (a *answering) Metadata(context.Context, *pb.MetadataRequest) (*pb.MetadataResponse, error) {
	return a.metadata, a.err
}

func serveAs(t *testing.T, s pb.ExecutorServiceServer) *grpc.ClientConn {
	return serveTest(t, nil, func(g *grpc.Server) { pb.RegisterExecutorServiceServer(g, s) })
}
