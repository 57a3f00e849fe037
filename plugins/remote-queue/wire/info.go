package wire

import (
	"bytes"
	"encoding/json"

	"github.com/taskhost/taskhost/sdk"
)

// What a worker says of itself is decoded list by list, each only as far as its bound: in memory
// an element takes many times what it takes on the way.

// isThere says that a field was there, and is not null.
func isThere(b json.RawMessage) bool { return len(b) > 0 && string(b) != "null" }

// decode reads a; the bounds of what it says remain to be looked at.
func (a *WorkerInfo) decode(b []byte) (err error) {
	type plain WorkerInfo
	var raw struct {
		plain
		Labels    json.RawMessage `json:"labels"`
		Types     json.RawMessage `json:"types"`
		TypeSlots json.RawMessage `json:"type_slots"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return ErrGarbled
	}
	*a = WorkerInfo(raw.plain)
	if a.Labels, err = decodeMap[string](raw.Labels, "labels of one worker", MaxWorkerLabels); err != nil {
		return err
	}
	if a.TypeSlots, err = decodeMap[int](raw.TypeSlots, "task types of one worker", maxWorkerTypes); err != nil {
		return err
	}
	a.Types, err = decodeTypes(raw.Types)
	return err
}

func decodeMap[V any](b json.RawMessage, what string, limit int) (m map[string]V, err error) {
	if !isThere(b) {
		return nil, nil
	}
	m = make(map[string]V)
	err = decodeEach(b, '{', what, limit, func(d *json.Decoder) error {
		key, err := d.Token()
		if err != nil {
			return ErrGarbled
		}
		var v V
		if err := d.Decode(&v); err != nil {
			return ErrGarbled
		}
		m[key.(string)] = v // no other token stands there
		return nil
	})
	return m, err
}

func decodeTypes(b json.RawMessage) (types []sdk.TypeInfo, err error) {
	type plain sdk.TypeInfo
	if !isThere(b) {
		return nil, nil
	}
	size := 0
	err = decodeEach(b, '[', "task types of one worker", maxWorkerTypes, func(d *json.Decoder) error {
		var raw struct {
			plain
			Defaults json.RawMessage `json:"defaults"`
		}
		if err := d.Decode(&raw); err != nil {
			return ErrGarbled
		}
		t := sdk.TypeInfo(raw.plain)
		if size += len(raw.Defaults); size > maxWorkerTypeBytes {
			return ExceedsLimit("bytes of the defaults of one worker's task types", size, maxWorkerTypeBytes)
		}
		if len(raw.Defaults) > 0 && json.Unmarshal(raw.Defaults, &t.Defaults) != nil {
			return ErrGarbled
		}
		types = append(types, t)
		return nil
	})
	return types, err
}

// decodeEach reads the elements of an object or a list, of which there may be so many. An error
// is a *LimitError or ErrGarbled.
func decodeEach(b []byte, open json.Delim, what string, limit int, each func(*json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if first, err := d.Token(); err != nil || first != open {
		return ErrGarbled
	}
	for n := 1; d.More(); n++ {
		if n > limit {
			return ExceedsLimit(what, n, limit)
		}
		if err := each(d); err != nil {
			return err
		}
	}
	return nil
}
