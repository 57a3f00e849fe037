package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/taskhost/taskhost/host/api/server"
)

// contract is the OpenAPI document as what every answer is held against: what it does not
// say must not be there, though clients are told to expect more.
type contract struct {
	doc      map[string]any
	routes   *http.ServeMux
	compiler *jsonschema.Compiler
	mu       sync.Mutex // compiling is for one at a time
	schemas  map[string]*jsonschema.Schema
}

// theContract is made once: all servers have the same document.
var theContract = sync.OnceValue(func() *contract {
	w := httptest.NewRecorder()
	server.NewHandler(nil, server.Options{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/openapi.json", nil))
	c := &contract{routes: http.NewServeMux(), compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	if err := json.Unmarshal(w.Body.Bytes(), &c.doc); err != nil {
		panic(err)
	}
	closeObjects(c.doc)
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource("doc.json", c.doc); err != nil {
		panic(err)
	}
	for path, item := range object(c.doc["paths"]) {
		for method := range object(item) {
			c.routes.Handle(strings.ToUpper(method)+" "+path, http.NotFoundHandler())
		}
	}
	return c
})

// closeObjects has schemas that name fields take no others.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["properties"] != nil && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for name, member := range v {
			if name != "allOf" { // whose parts say something of the same object each
				closeObjects(member)
			}
		}
	case []any:
		for _, element := range v {
			closeObjects(element)
		}
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// at is what a JSON pointer leads to, and the pointer to what that refers to, if it does.
func (c *contract) at(parts ...string) (map[string]any, []string) {
	var v any = c.doc
	for _, p := range parts {
		v = object(v)[p]
	}
	if ref, _ := object(v)["$ref"].(string); ref != "" {
		return c.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return object(v), parts
}

// validate holds v against the schema at that place.
func (c *contract) validate(v any, parts ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "*", "%2A").Replace(p)
	}
	place := "doc.json#/" + strings.Join(escaped, "/")
	if c.schemas[place] == nil {
		s, err := c.compiler.Compile(place)
		if err != nil {
			return err
		}
		c.schemas[place] = s
	}
	return c.schemas[place].Validate(v)
}

// ownHeaders are those of HTTP and of its library, which belong to no route.
var ownHeaders = []string{"Content-Type", "Content-Length", "Date", "Connection", "Transfer-Encoding", "X-Content-Type-Options", "X-Accel-Buffering"}

// check says what of an answer is not as its route's description has it. It gives the
// operation's id; "" if the request is for no route.
func (c *contract) check(a *answer) (operation string, err error) {
	method := a.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	_, pattern := c.routes.Handler(&http.Request{Method: method, URL: a.Request.URL, Host: a.Request.Host})
	media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if p := a.Request.URL.EscapedPath(); pattern == "" || p != path.Clean(p) { // which ServeMux matches too
		if a.StatusCode >= 400 && media != "application/problem+json" {
			return "", fmt.Errorf("an error of type %q", media)
		}
		return "", nil
	}
	verb, template, _ := strings.Cut(pattern, " ")
	op, opAt := c.at("paths", template, strings.ToLower(verb))
	operation, _ = op["operationId"].(string)
	status := fmt.Sprint(a.StatusCode)
	if object(op["responses"])[status] == nil {
		status = "default"
	}
	response, responseAt := c.at(append(slices.Clip(opAt), "responses", status)...)
	if err := c.checkHeaders(a, response, responseAt); err != nil {
		return operation, err
	}
	content := object(response["content"])
	if len(content) == 0 {
		if len(a.body) > 0 {
			return operation, fmt.Errorf("a body where none is described: %.200s", a.body)
		}
		return operation, nil
	}
	described := media
	if content[described] == nil {
		described = "*/*"
	}
	if content[described] == nil {
		return operation, fmt.Errorf("an answer %d of type %q is not described", a.StatusCode, media)
	}
	if a.Request.Method == http.MethodHead {
		return operation, nil
	}
	v, err := decoded(media, described, a.body)
	if err != nil || v == nil {
		return operation, err
	}
	err = c.validate(v, append(slices.Clip(responseAt), "content", described, "schema")...)
	if err != nil && status == "default" {
		err = fmt.Errorf("an answer %d is not described: %w", a.StatusCode, err)
	}
	return operation, err
}

func (c *contract) checkHeaders(a *answer, response map[string]any, at []string) error {
	described := map[string]string{} // by the name that Go gives them
	for name, h := range object(response["headers"]) {
		own := http.CanonicalHeaderKey(name)
		described[own] = name
		if _, there := a.Header[own]; !there && object(h)["required"] == true {
			return fmt.Errorf("an answer %d without %s", a.StatusCode, name)
		}
	}
	for own, values := range a.Header {
		if slices.Contains(ownHeaders, own) {
			continue
		}
		name, ok := described[own]
		if !ok || len(values) != 1 {
			return fmt.Errorf("an answer %d with the header %s %q, which is not described", a.StatusCode, own, values)
		}
		var v any = values[0]
		if object(object(object(response["headers"])[name])["schema"])["type"] == "integer" {
			v = json.Number(values[0])
		}
		if err := c.validate(v, append(slices.Clip(at), "headers", name, "schema")...); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	return nil
}

// decoded is a body as its schema describes it; nil if that says nothing of it.
func decoded(media, described string, body []byte) (any, error) {
	switch {
	case described == "*/*", media == "application/octet-stream":
		return nil, nil
	case media == "text/event-stream":
		return messages(string(body))
	case media == "application/x-ndjson":
		lines := []any{}
		for line := range bytes.Lines(body) {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err != nil {
				return nil, err
			}
			lines = append(lines, v)
		}
		return lines, nil
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(body))
}

// messages reads server-sent events by their specification: as many as are whole.
func messages(body string) (any, error) {
	out := []any{}
	blocks := strings.Split(body, "\n\n")
	for _, block := range blocks[:len(blocks)-1] {
		m := map[string]any{}
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "", "retry": // a comment, or no matter of events
			case "event", "id":
				m[name] = value
			case "data":
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(value))
				if err != nil {
					return nil, err
				}
				m[name] = v
			default:
				return nil, fmt.Errorf("%q is no line of a server-sent event", line)
			}
		}
		if m["data"] != nil { // an id alone is no event
			out = append(out, m)
		}
	}
	return out, nil
}
