package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

var (
	// anyRoute are the codes that a request may be answered with before its route is asked,
	// or if that fails.
	anyRoute = []task.Code{task.CodeInvalidRequest, task.CodeForbidden, api.CodeHeadTooLarge, task.CodeInternal}
	// anyRequest are those of requests that hardly any client makes: they are the
	// default response of every route.
	anyRequest = []task.Code{api.CodeExpectationFailed, api.CodeNotImplemented, api.CodeVersionNotSupported}
)

// addProblems says which codes a route may answer with, under the status of each.
func (d *document) addProblems(op *huma.Operation, rt route) {
	all := codes(anyRoute, rt.codes...)
	if !rt.open {
		all = append(all, task.CodeUnauthenticated)
	}
	slices.Sort(all)
	byStatus := map[int][]task.Code{}
	for _, c := range slices.Compact(all) {
		status, _ := statusOf(c)
		byStatus[status] = append(byStatus[status], c)
	}
	for status, codes := range byStatus {
		names := make([]string, len(codes))
		for i, c := range codes {
			names[i] = camelCase(string(c))
		}
		op.Responses[strconv.Itoa(status)] = d.problem(strings.Join(names, "Or"), status, codes)
	}
	op.Responses["default"] = d.problem("NotUnderstood", 0, anyRequest)
}

// problem refers to the response of that name, which all routes have in common that may
// answer with just these codes.
func (d *document) problem(name string, status int, codes []task.Code) *huma.Response {
	var lines []string
	values := make([]any, len(codes))
	for i, c := range codes {
		_, title := statusOf(c)
		lines = append(lines, string(c)+": "+title+".")
		values[i] = string(c)
	}
	if d.Components.Responses[name] == nil {
		d.Components.Responses[name] = &huma.Response{Description: strings.Join(lines, " "), Headers: problemHeaders(status),
			Content: map[string]*huma.MediaType{problemType: {Schema: &huma.Schema{AllOf: []*huma.Schema{d.schema(api.Problem{}),
				{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"code": {Type: huma.TypeString, Enum: values, Description: "One of the codes of this answer."}}}}}}}}
	}
	return &huma.Response{Ref: "#/components/responses/" + name}
}

func problemHeaders(status int) map[string]*huma.Param {
	// Who is refused before it is known what they ask for is given no id.
	headers := map[string]*huma.Param{requestIDHeader: requestIDParam(false)}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		headers["Retry-After"] = &huma.Param{Required: true, Description: "the seconds after which to try again",
			Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: bound(1)}}
	case http.StatusUnauthorized:
		headers["WWW-Authenticate"] = &huma.Param{Required: true, Description: "how to say who calls: Bearer", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return headers
}

// camelCase is a name in snake case as those of components are.
func camelCase(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}
