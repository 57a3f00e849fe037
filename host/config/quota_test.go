package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

const someQuotas = `
quota {
  waiting = 10000
  bytes   = "10GiB"
}
quota "team-a" {
  running = 5
  waiting = "unlimited"
}
quota "a b.c" { bytes = 1024 }
`

func TestQuotas(t *testing.T) {
	c, err := Parse("f.hcl", []byte(someQuotas))
	if err != nil {
		t.Fatal(err)
	}
	want := task.Quotas{Default: task.Quota{Waiting: 10000, Bytes: 10 << 30},
		Owners: map[string]task.Quota{"team-a": {Running: 5, Waiting: task.Unlimited}, "a b.c": {Bytes: 1024}}}
	if !reflect.DeepEqual(c.Quotas, want) {
		t.Errorf("read %+v, want %+v", c.Quotas, want)
	}
	shown := map[string]string{}
	for _, s := range c.Show() {
		shown[s.Key] = s.Value + " " + s.Origin
	}
	for key, want := range map[string]string{"quota.waiting": "10000 f.hcl:3", "quota.bytes": "10GiB f.hcl:4", "quota.team-a.running": "5 f.hcl:7", "quota.team-a.waiting": "unlimited f.hcl:8",
		"quota.a b.c.bytes": "1024 f.hcl:10"} {
		if shown[key] != want {
			t.Errorf("%s is shown as %q, want %q", key, shown[key], want)
		}
	}
	if c, err := Parse("f.hcl", []byte(`quota { bytes = "1024TiB" }`)); err != nil || c.Quotas.Default.Bytes != task.MaxQuotaBytes {
		t.Errorf("the most bytes: %+v, %v", c, err)
	}
}

func TestQuotaFaults(t *testing.T) {
	for src, want := range map[string]string{
		`quota { waiting = 0 }`:                              `Waiting is a whole number from 1 to 2147483647, or "unlimited".`,
		`quota { running = "many" }`:                         `Running is a whole number from 1 to 2147483647, or "unlimited".`,
		`quota { bytes = "1025TiB" }`:                        `Bytes is a size such as "500MiB" or "10GiB", or a number of bytes, or "unlimited".`,
		`quota { bytes = "999999999999TiB" }`:                `Bytes is a size`,
		`quota { bytes = null }`:                             `Bytes is a size`,
		`quota { byte = 1 }`:                                 `Did you mean "bytes"?`,
		`quota {}`:                                           `Set one of waiting, running and bytes.`,
		"quota { running = 1 }\nquota { running = 2 }":       `The first is at f.hcl:1.`,
		"quota \"a\" { running = 1 }\nquota \"a\" {}":        `A second quota "a"`,
		`quota "" { running = 1 }`:                           `An owner's name has 1 to 255 bytes.`,
		fmt.Sprintf("quota %q {}", strings.Repeat("x", 256)): `An owner's name has 1 to 255 bytes.`,
		`quota "a" "b" { running = 1 }`:                      `A quota block has the name of one owner`,
		"quota {\n  owner \"a\" {}\n}":                       `Blocks of type "owner" are not expected here`,
	} {
		_, err := Parse("f.hcl", []byte(src))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "has 1 error") {
			t.Errorf("%s: %v, want %q alone", src, err, want)
		}
	}
	if _, err := LoadWorker("w.hcl", []byte("name = \"w\"\nquota { running = 1 }")); err == nil || !strings.Contains(err.Error(), `Blocks of type "quota" are not expected here`) {
		t.Errorf("a worker with quotas: %v", err)
	}
}

func TestReloadOfQuotas(t *testing.T) {
	inForce, err := Parse("x.hcl", []byte(someQuotas))
	if err != nil {
		t.Fatal(err)
	}
	read, err := Parse("x.hcl", []byte("quota { waiting = 5 }\nquota \"team-a\" { running = 5 }"))
	if err != nil {
		t.Fatal(err)
	}
	next, changes := inForce.Reload(read)
	if got, want := fmt.Sprint(changes), "[quota.a b.c.bytes: 1024 ->  quota.bytes: 10GiB ->  quota.team-a.waiting: unlimited ->  quota.waiting: 10000 -> 5]"; got != want {
		t.Errorf("changes are\n%s, want\n%s", got, want)
	}
	if !reflect.DeepEqual(next.Quotas, read.Quotas) {
		t.Errorf("in force is %+v", next.Quotas)
	}
}
