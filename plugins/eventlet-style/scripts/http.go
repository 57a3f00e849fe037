package scripts

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/taskhost/taskhost/plugins/import/fetch"
	"github.com/taskhost/taskhost/sdk"
)

// The headers that tell a service which attempt it serves, so that it can know a
// repeated one.
const (
	headerTask    = "X-Taskhost-Task"
	headerAttempt = "X-Taskhost-Attempt"
)

// httpConfig is the script's attributes.
type httpConfig struct {
	AllowHosts []string     `json:"allow_hosts" jsonschema:"host names, addresses and networks that may be called although they are not public ones"`
	AllowPorts []int        `json:"allow_ports" jsonschema:"the ports that may be called"`
	Timeout    sdk.Duration `json:"timeout" jsonschema:"how long one request may take, with its answer"`
	MaxBody    sdk.Size     `json:"max_body" jsonschema:"how much of an answer's body is kept; the rest is cut off"`
}

func defaultHTTPConfig() httpConfig {
	return httpConfig{AllowPorts: fetch.DefaultPorts(), Timeout: sdk.Duration(time.Minute), MaxBody: 256 << 10}
}

// HTTP makes the script that sends one request, which makes a script of any web
// service. Its attributes are those of httpConfig.
func HTTP(cfg sdk.Config) (sdk.Script, error) {
	c := defaultHTTPConfig()
	if err := cfg.Decode(&c); err != nil {
		return sdk.Script{}, err
	}
	policy, err := fetch.NewPolicy(c.AllowHosts, c.AllowPorts, cfg.Attribute)
	if err != nil {
		return sdk.Script{}, err
	}
	// The timeout bounds silence too: a service may think for as long as it has.
	client, err := fetch.New(fetch.Options{Policy: policy, Timeout: time.Duration(c.Timeout), Stall: time.Duration(c.Timeout)})
	if err != nil {
		return sdk.Script{}, err
	}
	s := httpSender{client: client, maxBody: int64(c.MaxBody)}
	return sdk.Script{
		TypeInfo: sdk.TypeInfo{
			Name:        "http",
			Description: "Sends one HTTP request; the answer is the result.",
			Input:       schema(httpInput),
			Result:      schema(httpResult),
		},
		Run: s.run,
	}, nil
}

const httpInput = `{
  "type": "object", "additionalProperties": false, "required": ["url"],
  "properties": {
    "url": {"type": "string", "minLength": 1, "maxLength": 8192},
    "method": {
      "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
      "description": "by default GET, or POST if there is a body"
    },
    "headers": {"type": "object", "maxProperties": 100, "additionalProperties": {"type": "string", "maxLength": 8192}},
    "body": {"description": "a string is sent as it is, anything else as JSON"},
    "expect_status": {
      "description": "what counts as success: a status or several; by default all of 200 to 299",
      "anyOf": [
        {"type": "integer", "minimum": 100, "maximum": 599},
        {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 100, "maximum": 599}}
      ]
    }
  }
}`

const httpResult = `{
  "type": "object", "required": ["status", "body"],
  "properties": {
    "status": {"type": "integer"},
    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "body": {"type": "string"},
    "encoding": {"const": "base64", "description": "present if the body is not text"},
    "truncated": {"const": true, "description": "present if the body was longer than the operator's max_body"}
  }
}`

type httpTask struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	Expect  statuses          `json:"expect_status"`
}

type httpAnswer struct {
	Status    int               `json:"status"`
	Headers   map[string]string `json:"headers,omitempty"`
	Body      string            `json:"body"`
	Encoding  string            `json:"encoding,omitempty"`
	Truncated bool              `json:"truncated,omitempty"`
}

// statuses is one status or a list of them.
type statuses []int

func (s *statuses) UnmarshalJSON(data []byte) error {
	var one int
	if err := json.Unmarshal(data, &one); err == nil {
		*s = statuses{one}
		return nil
	}
	var many []int
	if err := json.Unmarshal(data, &many); err != nil {
		return errors.New("expect_status: want a status or a list of them")
	}
	*s = many
	return nil
}

func (s statuses) expects(code int) bool {
	if len(s) == 0 {
		return code >= 200 && code <= 299
	}
	return slices.Contains(s, code)
}

// expectsRedirect says whether a redirect is the answer that is hoped for.
func (s statuses) expectsRedirect() bool {
	return slices.ContainsFunc(s, func(code int) bool { return code >= 300 && code <= 399 })
}

type httpSender struct {
	client  *fetch.Client
	maxBody int64
}

func (c httpSender) run(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	var in httpTask
	if err := t.Decode(&in); err != nil {
		return sdk.Result{}, err
	}
	req, err := newRequest(t, in)
	if err != nil {
		return sdk.Result{}, sdk.Permanent(err)
	}
	began := time.Now()
	resp, err := c.client.Do(ctx, req)
	if err != nil {
		return sdk.Result{}, err
	}
	defer func() { _ = resp.Body.Close() }() // what is wanted of it has been read
	r.Log().Info("answered", "status", resp.StatusCode, "took", time.Since(began).Round(time.Millisecond).String())
	if !in.Expect.expects(resp.StatusCode) {
		return sdk.Result{}, c.unexpected(resp, in)
	}
	out := httpAnswer{Status: resp.StatusCode, Headers: map[string]string{}}
	for name, values := range resp.Header {
		out.Headers[name] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBody+1))
	if err != nil {
		return sdk.Result{}, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(body)) > c.maxBody {
		// The service has done its work: failing now would have it done again.
		body, out.Truncated = body[:c.maxBody], true
	}
	out.Body = string(body)
	if !isUTF8Text(body, out.Truncated) {
		out.Body, out.Encoding = base64.StdEncoding.EncodeToString(body), "base64"
	}
	return sdk.JSON(out)
}

// isUTF8Text says whether body can stand in JSON as it is. The cut of a long one may
// have split its last character.
func isUTF8Text(body []byte, cut bool) bool {
	if cut {
		for i := 0; i < utf8.UTFMax-1 && len(body) > 0 && !utf8.Valid(body); i++ {
			body = body[:len(body)-1]
		}
	}
	return utf8.Valid(body)
}

// maxSaid is how many bytes of an answer that was not hoped for go into its error.
const maxSaid = 512

// unexpected is the error of an answer that was not hoped for, with the
// beginning of what the service said.
func (c httpSender) unexpected(resp *http.Response, in httpTask) error {
	err := fetch.StatusError(resp, time.Now())
	if resp.StatusCode < 400 || len(in.Expect) > 0 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
		err = fmt.Errorf("%w, which is not expected", err)
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxSaid)) // better little than nothing
	if text := strings.TrimSpace(strings.ToValidUTF8(string(said), "")); text != "" && isUTF8Text(said, len(said) == maxSaid) {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return err
}

func newRequest(t sdk.Task, in httpTask) (fetch.Request, error) {
	req := fetch.Request{Method: in.Method, URL: in.URL, Header: http.Header{}, NoRedirects: in.Expect.expectsRedirect()}
	for name, value := range in.Headers {
		if err := checkHeader(name, value); err != nil {
			return req, err
		}
		req.Header.Set(name, value)
	}
	if len(in.Body) > 0 && string(in.Body) != "null" {
		req.Body = in.Body
		contentType := "application/json"
		var text string
		if err := json.Unmarshal(in.Body, &text); err == nil {
			req.Body, contentType = []byte(text), "text/plain; charset=utf-8"
		}
		if req.Header.Get("Content-Type") == "" {
			req.Header.Set("Content-Type", contentType)
		}
	}
	switch req.Method {
	case "":
		req.Method = http.MethodGet
		if req.Body != nil {
			req.Method = http.MethodPost
		}
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		return req, fmt.Errorf("method %q is not one that is sent", in.Method)
	}
	req.Header.Set(headerTask, t.ID)
	req.Header.Set(headerAttempt, strconv.Itoa(t.Attempt))
	return req, nil
}

// headerChars are what a header's name may be made of.
const headerChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"

// checkHeader refuses headers that would change how the request is read, or who
// it seems to come from.
func checkHeader(name, value string) error {
	key := http.CanonicalHeaderKey(name)
	switch key {
	case "", "Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Keep-Alive",
		"Proxy-Connection", "Proxy-Authorization", "Expect", "Accept-Encoding", headerTask, headerAttempt:
		return fmt.Errorf("header %q cannot be set", name)
	}
	if strings.Trim(name, headerChars) != "" {
		return fmt.Errorf("header %q is not a header's name", name)
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return fmt.Errorf("header %q: its value has control characters", name)
	}
	return nil
}
