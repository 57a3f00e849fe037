package sdk

import (
	"encoding/json"
	"fmt"
)

// Result is what a successful attempt leaves: bytes and what they are. Make one
// with JSON, Text or Bytes; the zero Result means "nothing to say" and is stored
// as JSON null.
type Result struct {
	ContentType string
	Data        []byte
	// Stored says that the bytes are not in Data: they were already put to the
	// host's REST under the attempt's token. For executors behind a carrier that
	// bounds what a message holds; a script never sets it.
	Stored bool
}

// JSON makes a result of v. It fails, permanently, if v cannot be marshaled.
func JSON(v any) (Result, error) {
	if v == nil {
		return Result{ContentType: ContentJSON, Data: []byte("null")}, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return Result{}, Permanent(fmt.Errorf("result: %w", err))
	}
	return Result{ContentType: ContentJSON, Data: data}, nil
}

// Text makes a result of plain text, in UTF-8.
func Text(s string) Result { return Result{ContentType: ContentText, Data: []byte(s)} }

// Bytes makes a result of any content type. The host keeps b; do not change it.
func Bytes(contentType string, b []byte) Result {
	return Result{ContentType: contentType, Data: b}
}

// The content types that JSON and Text give.
const (
	ContentJSON = "application/json"
	ContentText = "text/plain; charset=utf-8"
)
