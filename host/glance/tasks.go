package glance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// mismatch is the error of a body that is not as the schema has it.
func mismatch(format string, args ...any) error {
	return fault(http.StatusBadRequest, "Provided object does not match schema 'task': %s", fmt.Sprintf(format, args...))
}

func (h *Handler) create(w http.ResponseWriter, r *request) error {
	if err := h.mayUseTasks(r, identity.Member); err != nil {
		return err
	}
	body, err := h.readBody(w, r)
	if err != nil {
		return err
	}
	typ, input, err := h.decode(body, h.typeNames(r))
	if err != nil {
		return err
	}
	spec := task.Spec{Type: typ, Input: input, Labels: map[string]string{labelRequest: r.id, labelUser: r.who.Name}}
	if h.opts.TimeToLive > 0 {
		spec.Retain = &h.opts.TimeToLive
	}
	if image := imageOf(input); image != "" {
		spec.Labels[labelImage] = image
	}
	tasks, _, err := h.opts.Service.Submit(r.Context(), r.who.Scope(), []task.Spec{spec}, nil)
	if err != nil {
		return err
	}
	made := show(&tasks[0])
	made.Status = statusPending // as Glance's are when they are accepted, though it may have begun by now
	if h.opts.Note != nil {
		h.opts.Note(r.Request, r.who, r.id)
	}
	w.Header().Set("Location", r.url(made.Self))
	return writeJSON(w, http.StatusCreated, made)
}

func (h *Handler) readBody(w http.ResponseWriter, r *request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBody()))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fault(http.StatusRequestEntityTooLarge, "The request has more than %d bytes.", large.Limit)
	case err != nil:
		return nil, fault(http.StatusBadRequest, "The request body could not be read.")
	case len(bytes.TrimSpace(body)) == 0:
		return nil, fault(http.StatusBadRequest, "Body expected in request.")
	}
	return body, nil
}

// decode reads what a new task is to be. What Glance's schema has besides type and input is
// dropped, as Glance does.
func (h *Handler) decode(body []byte, types []string) (typ string, input json.RawMessage, err error) {
	if !json.Valid(body) || task.BoundJSON(body) != nil {
		return "", nil, fault(http.StatusBadRequest, "Malformed JSON in request body.")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return "", nil, mismatch("the body is not an object")
	}
	for _, name := range []string{"type", "input"} {
		if _, ok := fields[name]; !ok {
			return "", nil, fault(http.StatusBadRequest, "Task '%s' is required", name)
		}
	}
	var extra []string
	for name := range fields {
		if _, known := taskProperties[name]; !known {
			extra = append(extra, "'"+name+"'")
		}
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		were := "was"
		if len(extra) > 1 {
			were = "were"
		}
		return "", nil, mismatch("Additional properties are not allowed (%s %s unexpected)", strings.Join(extra, ", "), were)
	}
	if json.Unmarshal(fields["type"], &typ) != nil || !slices.Contains(types, typ) {
		return "", nil, mismatch("%s is not one of ['%s']", quoted(fields["type"]), strings.Join(types, "', '"))
	}
	input = bytes.TrimSpace(fields["input"])
	if len(input) == 0 || input[0] != '{' && string(input) != "null" {
		return "", nil, mismatch("the input is not of type 'null', 'object'")
	}
	return typ, input, h.checkSource(input)
}

// quoted is a value as Glance's errors write one.
func quoted(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if len(s) > 100 {
			s = s[:100]
		}
		return "'" + s + "'"
	}
	return "the type"
}

// checkSource refuses a source that is not imported from.
func (h *Handler) checkSource(input json.RawMessage) error {
	var in struct {
		From *json.RawMessage `json:"import_from"`
	}
	var from string
	if json.Unmarshal(input, &in) != nil || in.From == nil || json.Unmarshal(*in.From, &from) != nil {
		return nil // what else is wrong with it, the type's schema says
	}
	u, err := url.Parse(from)
	scheme := ""
	if err == nil {
		scheme = strings.ToLower(u.Scheme)
	}
	switch {
	case scheme == "file" || scheme == "filesystem":
		return fault(http.StatusBadRequest, "File based imports are not allowed. Please use a non-local source of image data.")
	case err != nil || !slices.Contains(h.opts.AllowedSchemes, scheme):
		return fault(http.StatusBadRequest, "The source of the import is not a URL of an allowed scheme: want one of %s.", strings.Join(h.opts.AllowedSchemes, ", "))
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if slices.Contains(h.opts.DisallowedHosts, host) || len(h.opts.AllowedHosts) > 0 && !slices.Contains(h.opts.AllowedHosts, host) {
		return fault(http.StatusBadRequest, "Images are not imported from the host %q.", host)
	}
	return nil
}

// imageOf is the image that an input is about; "" if it names none.
func imageOf(input json.RawMessage) string {
	var in struct {
		Image *json.RawMessage `json:"image_id"`
	}
	var id string
	if json.Unmarshal(input, &in) != nil || in.Image == nil || json.Unmarshal(*in.Image, &id) != nil || len(id) > task.MaxLabel {
		return ""
	}
	return id
}

// typeNames are the task types that the host has.
func (h *Handler) typeNames(r *request) []string {
	types := h.opts.Service.Types(r.who.Scope())
	names := make([]string, len(types))
	for i := range types {
		names[i] = types[i].Name
	}
	return names
}

func (h *Handler) get(w http.ResponseWriter, r *request) error {
	if err := h.mayUseTasks(r, identity.Viewer); err != nil {
		return err
	}
	name := r.URL.Path[len(tasksPath)+1:]
	id, err := task.ParseID(name)
	if err != nil {
		return notFound(name)
	}
	t, err := h.opts.Service.Get(r.Context(), r.who.Scope(), id)
	if task.CodeOf(err) == task.CodeNotFound {
		return notFound(name)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, show(&t))
}

func notFound(name string) error {
	return fault(http.StatusNotFound, "Could not find task %s", name)
}
