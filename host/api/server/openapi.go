package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// describe makes the OpenAPI 3.1 document of the routes.
func describe(routes []route, version string) (doc []byte, err error) {
	// huma panics on types that it cannot describe. They are fixed when this is
	// compiled, and a test makes the document; still, a host must not die of it.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	if version == "" {
		version = "dev"
	}
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	d := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "taskhost", Version: version, Description: "Durable tasks, and the executors that run them.",
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}},
		Components: &huma.Components{Schemas: schemas, SecuritySchemes: map[string]*huma.SecurityScheme{
			"token": {Type: "http", Scheme: "bearer", Description: "needed where the server has tokens; without any it listens on loopback and asks for none"}}},
		Security: []map[string][]string{{"token": {}}, {}},
	}
	problem := schemas.Schema(reflect.TypeFor[api.Problem](), true, "")
	for _, rt := range routes {
		d.AddOperation(operation(rt, schemas, problem))
	}
	refineSchemas(schemas)
	return json.Marshal(d)
}

func operation(rt route, schemas huma.Registry, problem *huma.Schema) *huma.Operation {
	op := &huma.Operation{Method: rt.method, Path: strings.ReplaceAll(rt.path, "...}", "}"), OperationID: rt.id, Summary: rt.summary, Description: rt.description,
		Tags: []string{rt.tag}, Responses: map[string]*huma.Response{}}
	if rt.open {
		op.Security = []map[string][]string{{}}
	}
	for _, name := range pathNames(rt.path) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	for _, p := range rt.params {
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: p.in, Description: p.doc, Schema: p.schema()})
	}
	if rt.body != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(reflect.TypeOf(rt.body), true, "")}}}
	}
	for _, a := range rt.answers {
		addAnswer(op, a, schemas)
	}
	addProblems(op, rt, problem)
	return op
}

var pathName = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)

func pathNames(path string) []string {
	var out []string
	for _, m := range pathName.FindAllStringSubmatch(path, -1) {
		out = append(out, m[1])
	}
	return out
}

func (p param) schema() *huma.Schema {
	s := &huma.Schema{Type: p.kind}
	switch p.kind {
	case "date-time":
		s.Type, s.Format = huma.TypeString, "date-time"
	case "strings":
		s = &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}
	case "state":
		s = &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString, Enum: stateNames()}}
	}
	for _, e := range p.enum {
		s.Enum = append(s.Enum, e)
	}
	return s
}

func stateNames() []any {
	var out []any
	for _, s := range task.States() {
		out = append(out, s.String())
	}
	return out
}

func addAnswer(op *huma.Operation, a answer, schemas huma.Registry) {
	key := strconv.Itoa(a.status)
	r := op.Responses[key]
	if r == nil {
		r = &huma.Response{Description: a.doc}
		op.Responses[key] = r
	}
	for _, h := range a.headers {
		if r.Headers == nil {
			r.Headers = map[string]*huma.Param{}
		}
		r.Headers[h.name] = &huma.Param{Description: h.doc, Schema: h.schema()}
	}
	media, schema := a.media, &huma.Schema{}
	if a.body != nil {
		media, schema = "application/json", schemas.Schema(reflect.TypeOf(a.body), true, "")
	}
	if media == "" {
		return
	}
	if r.Content == nil {
		r.Content = map[string]*huma.MediaType{}
	}
	r.Content[media] = &huma.MediaType{Schema: schema}
}

// addProblems tells which codes come under which status.
func addProblems(op *huma.Operation, rt route, problem *huma.Schema) {
	codes := append([]task.Code{task.CodeInvalidRequest, task.CodeForbidden, task.CodeInternal}, rt.codes...)
	if !rt.open {
		codes = append(codes, task.CodeUnauthenticated, task.CodeStoreUnavailable)
	}
	byStatus := map[int][]string{}
	seen := map[task.Code]bool{}
	for _, c := range codes {
		if status, _ := statusOf(c); !seen[c] {
			byStatus[status] = append(byStatus[status], string(c))
			seen[c] = true
		}
	}
	for status, names := range byStatus {
		r := &huma.Response{Description: strings.Join(names, ", "), Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			r.Headers = map[string]*huma.Param{"Retry-After": {Description: "seconds", Schema: &huma.Schema{Type: huma.TypeInteger}}}
		}
		op.Responses[strconv.Itoa(status)] = r
	}
}

// refineSchemas says what huma's derivation cannot.
func refineSchemas(schemas huma.Registry) {
	byName := schemas.Map()
	for name, s := range byName {
		if name != "TaskRequest" && name != "BatchRequest" {
			s.AdditionalProperties = true // answers grow; a client that forbids it breaks
		}
		for field, p := range s.Properties {
			if p.Ref != "" && (field == "error" || field == "progress") {
				s.Properties[field] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}, Description: p.Description}
			}
		}
	}
	byName["Task"].Properties["state"].Enum = stateNames()
	byName["Task"].Properties["waiting"].Enum = waitingNames()
	waiting := byName["Backlog"].Properties["waiting"]
	waiting.Enum = append(waiting.Enum, nil)
	for _, name := range []string{"Event", "StateEvent"} {
		if e := byName[name]; e != nil {
			e.Properties["to"].Enum = stateNames()
			e.Properties["from"].Enum = append(stateNames(), nil)
		}
	}
	duration := func(doc string) *huma.Schema {
		return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString, Examples: []any{"30s", "1h30m"}}, {Type: huma.TypeNumber}},
			Description: doc + `; a string such as "1h30m", or a number of seconds`}
	}
	req := byName["TaskRequest"].Properties
	req["timeout"] = duration("of one attempt")
	req["retain"] = duration("how long the task is kept once final")
}

func waitingNames() []any {
	out := []any{}
	for w := task.WaitQueued; w <= task.WaitChildren; w++ {
		out = append(out, w.String())
	}
	return append(out, nil)
}
