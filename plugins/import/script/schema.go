package script

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// The schemas say what a client may send and what it gets. They stand as text,
// because a derived one could not say what the strings mean.
const inputSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["import_from"],
  "properties": {
    "import_from": {
      "type": "string", "minLength": 1, "maxLength": 8192,
      "description": "where the image is: an http or https URL, or a path below the operator's import_root"
    },
    "import_from_format": {
      "enum": ["raw", "qcow2", "auto"], "default": "auto",
      "description": "what the image must be; auto takes what its bytes say. A file that can be told from a disk is refused either way"
    },
    "allow_any": {
      "type": "boolean", "default": false,
      "description": "with import_from_format raw: take the bytes as they are, also those of another format, an archive, an encrypted volume. The result's recognized says what they are; never let such an image be probed"
    },
    "image_properties": {
      "type": "object", "maxProperties": 256,
      "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": 4096},
      "description": "kept with the image, in its metadata"
    },
    "checksum": {
      "type": "string",
      "pattern": "^(md5:[0-9a-fA-F]{32}|sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128})$",
      "description": "what the source's bytes must hash to, such as sha256:9f86…; another hash fails the task for good"
    }
  },
  "if": {"required": ["allow_any"], "properties": {"allow_any": {"const": true}}},
  "then": {"required": ["import_from_format"], "properties": {"import_from_format": {"const": "raw"}}}
}`

const resultSchema = `{
  "type": "object",
  "required": ["image_id", "size", "virtual_size", "disk_format", "checksums"],
  "properties": {
    "image_id": {"type": "string", "description": "the id of the task, and the name of the file"},
    "size": {"type": "integer", "description": "bytes of the file"},
    "virtual_size": {"type": "integer", "description": "bytes of the disk that the image holds"},
    "disk_format": {"enum": ["raw", "qcow2"], "description": "what to open it as; it stands in the image's metadata too, so that nobody need probe"},
    "recognized": {"type": "string", "description": "what the bytes look like, if allow_any had them taken for raw in spite of it"},
    "checksums": {
      "type": "object",
      "required": ["md5", "sha256", "sha512"],
      "properties": {"md5": {"type": "string"}, "sha256": {"type": "string"}, "sha512": {"type": "string"}}
    }
  }
}`

// properties are kept as they were given.
type properties map[string]json.RawMessage

// input is what a client asks for.
type input struct {
	From       string     `json:"import_from"`
	Format     string     `json:"import_from_format"`
	AllowAny   bool       `json:"allow_any"`
	Properties properties `json:"image_properties"`
	Checksum   string     `json:"checksum"`
}

// output is the task's result.
type output struct {
	ImageID     string    `json:"image_id"`
	Size        int64     `json:"size"`
	VirtualSize int64     `json:"virtual_size"`
	DiskFormat  string    `json:"disk_format"`
	Recognized  string    `json:"recognized,omitempty"`
	Checksums   checksums `json:"checksums"`
}

type checksums struct {
	MD5    string `json:"md5"`
	SHA256 string `json:"sha256"`
	SHA512 string `json:"sha512"`
}

// metadata is the JSON file beside an image. With its disk_format nobody need probe
// the image, which may be what a stranger made to be misread.
type metadata struct {
	output
	Properties properties `json:"image_properties,omitempty"`
	Source     string     `json:"source"`
	CreatedAt  string     `json:"created_at"`
}

// readInput checks again what the host has checked by the schema: a worker or
// another host may not have.
func readInput(t sdk.Task) (input, error) {
	in := input{Format: formatAuto}
	if err := t.Decode(&in); err != nil {
		return in, err
	}
	if in.From == "" {
		return in, sdk.Permanent(fmt.Errorf("import_from: say which URL or path to import"))
	}
	switch in.Format {
	case formatAuto, formatRaw, formatQCOW2:
	case "":
		in.Format = formatAuto
	default:
		return in, sdk.Permanent(fmt.Errorf("import_from_format: %q is none of raw, qcow2 and auto", in.Format))
	}
	if in.AllowAny && in.Format != formatRaw {
		return in, sdk.Permanent(fmt.Errorf("allow_any: it needs import_from_format raw, for it says that the bytes are to be taken as a raw disk"))
	}
	if in.Checksum != "" {
		in.Checksum = strings.ToLower(in.Checksum)
		algo, value, _ := strings.Cut(in.Checksum, ":")
		length := map[string]int{"md5": 32, "sha256": 64, "sha512": 128}[algo]
		if length == 0 || len(value) != length || strings.Trim(value, "0123456789abcdef") != "" {
			return in, sdk.Permanent(fmt.Errorf("checksum: %q is not md5:, sha256: or sha512: and its hexadecimal digits", in.Checksum))
		}
	}
	return in, nil
}

// is says whether want, as it stands in an input, is among c.
func (c checksums) is(want string) (got string, ok bool) {
	algo, value, _ := strings.Cut(want, ":")
	switch algo {
	case "md5":
		got = c.MD5
	case "sha256":
		got = c.SHA256
	case "sha512":
		got = c.SHA512
	}
	return algo + ":" + got, got == value
}

func typeInfo() sdk.TypeInfo {
	return sdk.TypeInfo{
		Name:        "import",
		Description: "Copies a disk image (raw or qcow2) from a URL or a path into the image directory, checked and hashed.",
		Input:       json.RawMessage(inputSchema),
		Result:      json.RawMessage(resultSchema),
		Defaults:    sdk.Defaults{Timeout: defaultTimeout},
	}
}
