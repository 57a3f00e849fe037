package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/taskhost/taskhost/host/api"
)

// document is the OpenAPI document in the making.
type document struct {
	*huma.OpenAPI
	schemas huma.Registry
}

// describe makes the OpenAPI 3.1 document of the routes.
func describe(routes []route, version string) (doc []byte, err error) {
	// huma panics on types that it cannot describe. They are fixed when this is
	// compiled, and a test makes the document; still, a host must not die of it.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	d := newDocument(version)
	for _, v := range []any{api.Event{}, stateMessage{}, progressMessage{}, resetMessage{}, allStateMessage{}, allResetMessage{}} { // what no route names
		d.schema(v)
	}
	for _, rt := range routes {
		d.AddOperation(d.operation(rt))
	}
	refineSchemas(d.schemas.Map())
	return json.Marshal(d.OpenAPI)
}

const about = `Durable tasks, and the executors that run them.

Requests and answers are JSON but where another media type is named. A request with a field or a query parameter that is not known is refused; an answer may come to have
more fields than are described here. Times are of RFC 3339, in UTC and with fractions of a second; durations are text such as 1h30m. HEAD is answered as GET is, without a body.

Every error is a problem of RFC 9457, of type application/problem+json: match its code, which is stable, and show its detail, which says what was wrong and what to do.
With a 429 or 503, Retry-After says when to try again. A path that is not described here is answered 404, a method that a path does not take 405 with Allow.`

func newDocument(version string) *document {
	if version == "" {
		version = "dev"
	}
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	d := &document{schemas: schemas, OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "taskhost", Version: version, Description: about,
			Contact: &huma.Contact{Name: "taskhost", URL: "https://github.com/taskhost/taskhost"},
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}},
		Servers: []*huma.Server{
			{URL: "/", Description: "The server that this document was read from."},
			{URL: "http://127.0.0.1:7070", Description: "One on this machine, where it listens if nothing else is configured."},
		},
		Components: &huma.Components{Schemas: schemas, Responses: map[string]*huma.Response{}, SecuritySchemes: map[string]*huma.SecurityScheme{
			"token":     {Type: "http", Scheme: "bearer", Description: "Needed where the server has tokens; without any it listens on loopback and asks for none."},
			"openstack": {Type: "apiKey", In: "header", Name: "X-Auth-Token", Description: "The same token, where OpenStack's clients send one."},
			"attempt":   {Type: "http", Scheme: "bearer", Description: "The token of a running attempt, with which it spawns children of its task. It ends with the attempt."}}},
		Security: []map[string][]string{{"token": {}}, {"openstack": {}}, {}},
	}}
	for _, t := range tags {
		d.Tags = append(d.Tags, &huma.Tag{Name: t.name, Description: t.doc})
	}
	return d
}

// schema is the schema of v's type, by reference where it has a name.
func (d *document) schema(v any) *huma.Schema { return d.schemas.Schema(reflect.TypeOf(v), true, "") }

func (d *document) operation(rt route) *huma.Operation {
	op := &huma.Operation{Method: rt.method, Path: strings.ReplaceAll(rt.path, "...}", "}"), OperationID: rt.id, Summary: rt.summary, Description: rt.description,
		Tags: []string{rt.tag}, Responses: map[string]*huma.Response{}}
	if rt.open {
		op.Security = []map[string][]string{{}}
	}
	if rt.spawns {
		op.Security = append(slices.Clone(d.Security), map[string][]string{"attempt": {}})
	}
	for _, p := range rt.params {
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: p.in, Description: p.doc, Required: p.in == "path",
			AllowEmptyValue: p.flag, Schema: p.schema()})
	}
	switch {
	case rt.body != nil:
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: d.schema(rt.body)}}}
	case rt.bodyDoc != "":
		op.RequestBody = &huma.RequestBody{Description: rt.bodyDoc, Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Description: rt.bodyDoc}}}}
	}
	for _, a := range rt.answers {
		d.addAnswer(op, a)
	}
	d.addProblems(op, rt)
	return op
}

func requestIDParam(always bool) *huma.Param {
	return &huma.Param{Description: "what the host's log and audit call the request: the X-Request-Id that it came with, or else one of the host's", Required: always,
		Schema: &huma.Schema{Type: huma.TypeString}}
}

func (d *document) addAnswer(op *huma.Operation, a answer) {
	key := strconv.Itoa(a.status)
	r := op.Responses[key]
	if r == nil {
		r = &huma.Response{Description: a.doc, Headers: map[string]*huma.Param{}, Content: map[string]*huma.MediaType{}}
		op.Responses[key] = r
	}
	r.Headers[requestIDHeader] = requestIDParam(true)
	for _, h := range a.headers {
		r.Headers[h.name] = &huma.Param{Description: h.doc, Required: h.always, Schema: h.schema()}
	}
	media := a.media
	schema := &huma.Schema{}
	if a.body != nil {
		media = cmp.Or(media, "application/json")
		schema = d.schema(a.body)
		schema.Nullable = false // of a stream: it is an array
	}
	if media == "" {
		return
	}
	if a.content != "" {
		schema.Description = a.content
	}
	r.Content[media] = &huma.MediaType{Schema: schema}
}

func (p param) schema() *huma.Schema {
	one := &huma.Schema{Type: huma.TypeString, Pattern: p.pattern, Default: p.otherwise}
	for _, e := range p.enum {
		one.Enum = append(one.Enum, e)
	}
	switch p.kind {
	case "date-time", "uuid":
		one.Format = p.kind
	case "integer":
		one.Type, one.Minimum, one.Maximum = huma.TypeInteger, bound(p.least), bound(p.most)
	case "boolean":
		one.Type = huma.TypeBoolean
	case "string":
		one.MinLength, one.MaxLength = length(p.least), length(p.most)
	case "states":
		one.Enum = stateNames()
	}
	if p.kind == "strings" || p.kind == "states" {
		return &huma.Schema{Type: huma.TypeArray, Items: one}
	}
	return one
}

func bound(n int) *float64 {
	if n == 0 {
		return nil
	}
	return new(float64(n))
}

func length(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}
