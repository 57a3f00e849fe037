package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Key is one key of a config, or a block of them, for the reference.
type Key struct {
	// Path is the key with the blocks that it stands in, such as executor.NAME.slots.
	Path string `json:"key"`
	// Plugin is the plugin to whose config the key belongs; empty for others.
	Plugin string `json:"plugin,omitempty"`
	// Files are the kinds of file in which it may stand: server, worker.
	Files []string `json:"files"`
	// Block says that it is a block of keys, and not one itself.
	Block bool `json:"block,omitempty"`
	// Value is what it may be, in words.
	Value string `json:"value,omitempty"`
	// Default is what holds without it, as it would be written; empty where that is nothing.
	Default string `json:"default,omitempty"`
	// Variable and Flag are what is laid over it; empty if nothing is.
	Variable string `json:"variable,omitempty"`
	Flag     string `json:"flag,omitempty"`
	// About says what it is for.
	About string `json:"about,omitempty"`
}

// PluginSchema is the JSON Schema that a plugin declares for its config.
type PluginSchema struct {
	Plugin string
	Schema json.RawMessage
}

// Reference is every key that there is, in the order in which they are explained. plugins
// are those whose keys are known, queue is the schema of a worker's queue block. What is said
// of a key is the comment of the field that it sets, or its schema's description.
func Reference(plugins []PluginSchema, queue json.RawMessage) ([]Key, error) {
	c, err := defaults()
	if err != nil {
		return nil, err
	}
	w := &Worker{Common: c.Common}
	x := &task.ExecutorConfig{OnHostExit: task.OnHostExitDie}
	l := task.DefaultLimits()
	t := &TaskType{TypeConfig: task.TypeConfig{Timeout: l.Timeout, MaxAttempts: l.MaxAttempts, MaxLost: &l.MaxLost, Retain: &l.Retain,
		QueueLimit: l.QueueLimit, MaxInput: l.MaxInput, MaxResult: l.MaxResult, Priority: l.Priority, Backoff: l.Backoff}}
	server, worker, both := []string{string(serverFile)}, []string{string(workerFile)}, []string{string(serverFile), string(workerFile)}

	var r reference
	r.setters("", server, c, c.serverSetters())
	for i := range r.keys {
		if _, common := w.setters()[r.keys[i].Path]; common {
			r.keys[i].Files = both
		}
	}
	own := w.setters()
	maps.DeleteFunc(own, func(name string, _ setter) bool {
		return slices.ContainsFunc(r.keys, func(k Key) bool { return k.Path == name })
	})
	r.setters("", worker, w, own)
	r.block("tls", server, "config.TLS")
	r.setters("tls.", server, &c.TLS, c.TLS.setters(""))
	r.block("trusted_proxy", server, "config.TrustedProxy")
	r.setters("trusted_proxy.", server, &c.TrustedProxy, c.TrustedProxy.setters())
	r.block("glance", server, "config.Glance")
	r.setters("glance.", server, &c.Glance, c.Glance.setters())
	q := &task.Quota{}
	r.block("quota.NAME", server, "task.Quota")
	r.setters("quota.NAME.", server, q, quotaSetters(q))
	r.block("executor.NAME", both, "task.ExecutorConfig")
	r.setters("executor.NAME.", both, x, executorSetters(x))
	r.block("executor.NAME.config", both, "task.ExecutorConfig.Config")
	for _, p := range plugins {
		if err := r.schema("executor.NAME.config.", p.Plugin, both, p.Schema); err != nil {
			return nil, fmt.Errorf("plugin %q: %w", p.Plugin, err)
		}
	}
	r.block("task_type.NAME", server, "config.TaskType")
	r.setters("task_type.NAME.", server, t, typeSetters(&t.TypeConfig))
	r.block("queue", worker, "config.Worker.Queue")
	if err := r.schema("queue.", "", worker, queue); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return r.keys, nil
}

type reference struct{ keys []Key }

// block adds a block, of which the comment of that name tells.
func (r *reference) block(path string, files []string, comment string) {
	r.keys = append(r.keys, Key{Path: path, Files: files, Block: true, About: about(comments()[comment], comment)})
}

// setters adds the keys that set sets in v, in the order of its fields.
func (r *reference) setters(path string, files []string, v any, set map[string]setter) {
	fields := fieldsOf(reflect.ValueOf(v).Elem(), nil)
	type placed struct {
		key   Key
		order int
	}
	var found []placed
	for name, s := range set {
		at := slices.IndexFunc(fields, func(f field) bool { return f.address == reflect.ValueOf(s.to).Pointer() })
		if at < 0 {
			panic(fmt.Sprintf("config: key %s sets no field of %T", name, v)) // the reference is tested
		}
		k := Key{Path: path + name, Files: files, Value: strings.TrimPrefix(s.is, "is "), About: about(comments()[fields[at].name], fields[at].name)}
		if s.absolute == nil { // those depend on where it runs
			k.Default = written(fields[at].value, &s)
		}
		for _, o := range overridable {
			if path == "" && o.key == name {
				k.Variable = variable(name)
				if o.says != nil {
					k.Flag = flag(name)
				}
			}
		}
		found = append(found, placed{k, at})
	}
	slices.SortFunc(found, func(a, b placed) int { return a.order - b.order })
	for _, f := range found {
		r.keys = append(r.keys, f.key)
	}
}

// field is a field that a file may set.
type field struct {
	name    string // as comments has it
	address uintptr
	value   reflect.Value
}

// fieldsOf are the exported fields of a struct and of those within it.
func fieldsOf(v reflect.Value, found []field) []field {
	for i := range v.NumField() {
		f, t := v.Field(i), v.Type().Field(i)
		switch {
		case f.Kind() == reflect.Struct:
			found = fieldsOf(f, found)
		case t.IsExported():
			found = append(found, field{v.Type().String() + "." + t.Name, f.Addr().Pointer(), f})
		}
	}
	return found
}

// about is a comment as it is said of a key: without the field's name, with which it begins.
func about(comment, field string) string {
	rest, ok := strings.CutPrefix(comment, field[strings.LastIndexByte(field, '.')+1:]+" ")
	if !ok {
		return comment
	}
	for _, verb := range []string{"is ", "are "} {
		rest = strings.TrimPrefix(rest, verb)
	}
	return sentence(rest)
}

// sentence is a text with a capital letter and a full stop; "" is none.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// written is the value of a field as s would read it from a file; "" where it says nothing.
func written(v reflect.Value, s *setter) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		return written(v.Elem(), s)
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		if x == 0 {
			return ""
		}
		return `"` + durationText(x) + `"`
	case string:
		if x != "" {
			return `"` + x + `"`
		}
		return ""
	case int64:
		if s.bytes && x%(1<<20) == 0 && x > 0 {
			return fmt.Sprintf(`"%dMiB"`, x>>20)
		}
	}
	if v.IsZero() && !s.zero {
		return ""
	}
	data, err := json.Marshal(v.Interface())
	if err != nil || string(data) == "null" {
		return ""
	}
	return string(data)
}

// durationText is a duration without parts that are zero.
func durationText(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}
