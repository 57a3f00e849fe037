package api

import (
	"bytes"
	"encoding/json"
)

// Encode writes v on one line, with < and & as they are: no browser reads this as HTML.
func Encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case *Task:
		line, err := AppendTask(make([]byte, 0, roomOf(v)), v)
		return append(line, '\n'), err
	case *TaskList:
		return encodeTaskList(v)
	case *StateEvent:
		return encodeStateEvent(v)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
