package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/taskhost/taskhost/"

// table is the import table of docs/design.md: for each room, which of the
// project's packages and which libraries it may import. A trailing /... takes
// all below. A room that is not listed may not exist.
var table = map[string]struct{ own, libs []string }{
	"sdk":                            {own: s("sdk/internal/executorpb"), libs: s("github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog", "google.golang.org/...", "github.com/google/jsonschema-go/...", "golang.org/x/mod/semver", "golang.org/x/sys/...")},
	"sdk/internal/executorpb":        {libs: s("google.golang.org/...")},
	"sdk/sdktest":                    {own: s("sdk"), libs: s("github.com/hashicorp/...", "google.golang.org/...")},
	"host/task":                      {libs: s("golang.org/x/mod/semver")},
	"host/task/storetest":            {own: s("host/task", "host/group", "host/identity", "host/resource", "host/schedule")},
	"host/group":                     {own: s("host/task")},
	"host/resource":                  {own: s("host/task")},
	"host/secret":                    {own: s("host/task")},
	"host/identity":                  {own: s("host/task")},
	"host/glance":                    {own: s("host/task", "host/identity")},
	"host/schedule":                  {own: s("host/task"), libs: s("github.com/adhocore/gronx")},
	"host/board":                     {own: s("host/task", "sdk"), libs: s("github.com/hashicorp/go-hclog")},
	"host/lane":                      {own: s("host/task")},
	"host/flow":                      {own: s("host/task")},
	"host/files":                     {},
	"host/sqlite":                    {own: s("host/task", "host/group", "host/identity", "host/resource", "host/schedule", "host/lane", "host/files"), libs: s("github.com/mattn/go-sqlite3", "github.com/pressly/goose/...", "golang.org/x/sys/...")},
	"host/registry":                  {own: s("host/task", "sdk"), libs: s("github.com/santhosh-tekuri/jsonschema/...", "golang.org/x/text/...", "github.com/hashicorp/go-hclog")},
	"host/engine":                    {own: s("host/task", "host/group", "host/resource", "host/schedule", "host/secret", "host/board", "host/registry", "host/flow", "sdk"), libs: s("github.com/google/uuid", "github.com/hashicorp/go-hclog")},
	"host/supervisor":                {own: s("sdk", "host/files", "host/task"), libs: s("github.com/hashicorp/...", "github.com/cenkalti/backoff/...", "google.golang.org/grpc/...", "golang.org/x/sys/...")},
	"host/config":                    {own: s("host/task"), libs: s("github.com/hashicorp/hcl/...", "github.com/zclconf/go-cty/...")},
	"host/api":                       {own: s("host/task", "host/group", "host/identity")},
	"host/api/client":                {own: s("host/task", "host/group", "host/identity", "host/api")},
	"host/api/server":                {own: s("host/task", "host/group", "host/identity", "host/resource", "host/schedule", "host/board", "host/flow", "host/api"), libs: s("github.com/danielgtaylor/huma/...")},
	"host/console":                   {},
	"host":                           {own: s("host/...", "sdk"), libs: s("github.com/hashicorp/go-hclog")},
	"plugins/eventlet-style":         {own: s("sdk", "plugins/import/..."), libs: s("github.com/hashicorp/go-hclog")},
	"plugins/eventlet-style/scripts": {own: s("sdk", "plugins/eventlet-style", "plugins/import/..."), libs: s("github.com/hashicorp/go-hclog")},
	"plugins/eventlet-style/scripts/scriptstest":                {own: s("sdk", "plugins/eventlet-style")},
	"plugins/eventlet-style/scripts/scriptstest/journal-plugin": {own: s("sdk", "plugins/eventlet-style/...")},
	"plugins/import":                     {own: s("sdk", "plugins/import/...")},
	"plugins/import/script":              {own: s("sdk", "plugins/import/fetch"), libs: s("github.com/hashicorp/go-hclog")},
	"plugins/import/fetch":               {own: s("sdk")},
	"plugins/remote-queue":               {own: s("sdk", "plugins/remote-queue/...")},
	"plugins/remote-queue/wire":          {own: s("sdk")},
	"plugins/remote-queue/files":         {},
	"plugins/remote-queue/config":        {own: s("sdk", "plugins/remote-queue/wire", "plugins/remote-queue/files")},
	"plugins/remote-queue/amqp":          {own: s("sdk", "plugins/remote-queue/config"), libs: s("github.com/rabbitmq/amqp091-go", "github.com/cenkalti/backoff/...", "github.com/hashicorp/go-hclog")},
	"plugins/remote-queue/broker":        {own: s("sdk", "plugins/remote-queue/wire", "plugins/remote-queue/config"), libs: s("github.com/hashicorp/go-hclog")},
	"plugins/remote-queue/broker/nats":   {own: s("sdk", "plugins/remote-queue/wire", "plugins/remote-queue/config", "plugins/remote-queue/broker"), libs: s("github.com/nats-io/...", "github.com/hashicorp/go-hclog")},
	"plugins/remote-queue/broker/rabbit": {own: s("plugins/remote-queue/wire", "plugins/remote-queue/amqp", "plugins/remote-queue/broker"), libs: s("github.com/rabbitmq/amqp091-go")},
	"plugins/remote-queue/fleet":         {own: s("sdk", "plugins/remote-queue/wire", "plugins/remote-queue/config", "plugins/remote-queue/files", "plugins/remote-queue/broker"), libs: s("github.com/hashicorp/go-hclog")},
	"plugins/remote-queue/worker":        {own: s("sdk", "plugins/remote-queue/wire", "plugins/remote-queue/config", "plugins/remote-queue/broker"), libs: s("github.com/hashicorp/go-hclog")},
	"plugins/remote-queue/celery":        {own: s("sdk", "plugins/remote-queue/amqp", "plugins/remote-queue/config", "plugins/remote-queue/files"), libs: s("github.com/rabbitmq/amqp091-go", "github.com/hashicorp/go-hclog")},
	"plugins/remote-queue/queuetest":     {own: s("sdk"), libs: s("go.uber.org/goleak", "github.com/hashicorp/go-hclog")},
	"cmd/taskhost":                       {own: s("host/...", "sdk", "plugins/..."), libs: s("github.com/spf13/...", "github.com/schollz/progressbar/...", "github.com/hashicorp/go-hclog", "golang.org/x/...", "github.com/coreos/go-systemd/...")},
}

func s(v ...string) []string { return v }

// Rooms that hold tests: no program may contain them.
var testRooms = s("sdk/sdktest", "host/task/storetest", "plugins/eventlet-style/scripts/scriptstest", "plugins/remote-queue/queuetest")

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// The rooms import only what the table lets them, and no program holds test code.
func TestImports(t *testing.T) {
	for _, p := range list(t, "./...") {
		room := strings.TrimPrefix(p.ImportPath, module)
		row, ok := table[room]
		if !ok && strings.HasPrefix(room, "examples/") {
			row, ok = struct{ own, libs []string }{own: s("sdk", "host", "host/task", "host/api", "host/api/client", "plugins/..."), libs: s("github.com/hashicorp/go-hclog")}, true
		}
		if !ok && strings.Contains(room, "/testdata/") {
			continue
		}
		if !ok {
			t.Errorf("%s is in no row of the import table: give it one", room)
			continue
		}
		for _, imp := range p.Imports {
			own, isOwn := strings.CutPrefix(imp, module)
			switch {
			case isOwn && !allowed(row.own, own):
				t.Errorf("%s imports %s", room, own)
			case !isOwn && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !allowed(row.libs, imp):
				t.Errorf("%s imports the library %s", room, imp)
			}
			if isOwn && allowed(testRooms, own) && !strings.Contains(room, "scriptstest") {
				t.Errorf("%s imports test code %s", room, own)
			}
		}
	}
}

func allowed(rows []string, path string) bool {
	for _, r := range rows {
		if below, ok := strings.CutSuffix(r, "/..."); ok && (path == below || strings.HasPrefix(path, below+"/")) || r == path {
			return true
		}
	}
	return false
}

// What a plugin author inherits: nothing of the host.
func TestSDKStandsAlone(t *testing.T) {
	for _, p := range list(t, "-deps", "./sdk", "./plugins/import", "./plugins/eventlet-style", "./plugins/remote-queue") {
		if strings.HasPrefix(p.ImportPath, module+"host") {
			t.Errorf("a plugin depends on %s", p.ImportPath)
		}
	}
}

// What a program that speaks to a host inherits: the types of /v1, and no library
// that serves them. That of versions, which host/task has, is of no weight.
func TestClientServesNothing(t *testing.T) {
	for _, p := range list(t, "-deps", "./host/api/client") {
		own, isOwn := strings.CutPrefix(p.ImportPath, module)
		switch {
		case isOwn && !allowed(s("host/api/client", "host/api", "host/task", "host/group", "host/identity"), own):
			t.Errorf("the client depends on %s", own)
		case !isOwn && p.ImportPath != "golang.org/x/mod/semver":
			t.Errorf("the client depends on the library %s", p.ImportPath)
		}
	}
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports"}, args...)...)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		if !p.Standard {
			pkgs = append(pkgs, p)
		}
	}
}
