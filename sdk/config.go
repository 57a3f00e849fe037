package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// Config is what an executor is made with: its own block of the operator's
// config, and what the host tells it of its place.
type Config struct {
	// Executor is the name of the executor block, such as "images".
	Executor string
	// DataDir is a directory that is the executor's alone, made by the host with
	// mode 0700. Without an operator's word, state goes here.
	DataDir string
	// Dir is the folder of the operator's file, against which relative paths in the config
	// are meant; "" where there is no file. Decode does so with each value of type Path.
	Dir string
	// HostURL is where the host's REST can be reached, if it can.
	HostURL string
	// Slots is the operator's limit on concurrent attempts; 0 if not set.
	Slots int
	// Log is the executor's own log, for lines that belong to no attempt.
	Log hclog.Logger

	data    []byte
	at      []string // the keys that lead to data, from the block's on
	changed func()
}

// NewConfig makes a Config of the block's attributes as one JSON object (empty
// means none). changed is what Changed calls; it may be nil. The host and tests
// call it; executors only receive Configs.
func NewConfig(executor string, data []byte, changed func()) Config {
	return Config{Executor: executor, Log: hclog.NewNullLogger(), data: data, changed: changed}
}

// Decode reads the config into v, which holds the defaults before. Unknown keys
// are refused by name: a typo must not silently leave a default in force. What a field may
// be is its type's own business: see Duration, Size and Path.
func (c Config) Decode(v any) error {
	data := c.data
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	if err := decodeStrict(data, v); err != nil {
		said := strings.TrimPrefix(err.Error(), "json: ")
		if c.Executor == "" {
			return errors.New(said)
		}
		return fmt.Errorf("config of executor %q: %s", c.Executor, said)
	}
	if c.Dir != "" {
		absolutePaths(c.Dir, reflect.ValueOf(v))
	}
	return nil
}

// absolutePaths joins each relative Path within v to dir.
func absolutePaths(dir string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			absolutePaths(dir, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			absolutePaths(dir, v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			absolutePaths(dir, v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if !v.CanInterface() { // no field that JSON can reach
				return
			}
			e := reflect.New(v.Type().Elem()).Elem() // a map's values can't be set where they are
			e.Set(v.MapIndex(k))
			absolutePaths(dir, e)
			v.SetMapIndex(k, e)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[Path]() && v.CanSet() && v.String() != "" && !filepath.IsAbs(v.String()) {
			v.SetString(filepath.Join(dir, v.String()))
		}
	}
}

// JSON is the block's attributes as one JSON object.
func (c Config) JSON() []byte { return c.data }

// Sub is the same Config with other attributes, for an executor that hands parts
// of its block on: those that stand at these keys of it.
func (c Config) Sub(data []byte, at ...string) Config {
	c.data = data
	c.at = slices.Concat(c.at, at)
	return c
}

// Attribute is how an operator writes key = value in the config block, for an error that
// says what to write: what belongs to a part that was handed on stands within that part.
func (c Config) Attribute(key string, value any) string {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return key
	}
	// What HCL would take for the begin of a template is written twice.
	out := strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strings.TrimSpace(text.String()))
	out = attributeName(key) + " = " + out
	for _, k := range slices.Backward(c.at) {
		out = attributeName(k) + " = { " + out + " }"
	}
	return out
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func attributeName(key string) string {
	if identifier.MatchString(key) {
		return key
	}
	return strconv.Quote(key)
}

// Changed has the host ask Describe again, because the executor's offer changed
// (workers came or went). It never blocks and may be called at any time.
func (c Config) Changed() {
	if c.changed != nil {
		c.changed()
	}
}
