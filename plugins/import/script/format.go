package script

import (
	"bytes"
	"fmt"

	"github.com/taskhost/taskhost/sdk"
)

// The formats that a client may name.
const (
	formatAuto  = "auto"
	formatRaw   = "raw"
	formatQCOW2 = "qcow2"
)

// detected is what an image's bytes say of it.
type detected struct {
	format      string
	virtualSize int64        // of raw: known at the end only
	qcow2       *qcow2Header // of qcow2
}

// signature is how another kind of file begins.
type signature struct {
	name   string
	offset int
	magic  string
}

// signatures are the kinds that are not raw disks and cannot be stored. Without them "auto" would
// take any file for a raw disk, and a web server's page of excuses for an image.
func signatures() []signature {
	return []signature{
		{"vmdk", 0, "KDMV"}, {"vmdk", 0, "COWD"}, {"vmdk", 0, "# Disk DescriptorFile"},
		{"vhd", 0, "conectix"}, {"vhdx", 0, "vhdxfile"}, {"vdi", 0x40, "\x7f\x10\xda\xbe"},
		{"qed", 0, "QED\x00"}, {"parallels", 0, "WithoutFreeSpace"}, {"parallels", 0, "WithouFreSpacExt"},
		{"gzip", 0, "\x1f\x8b\x08"}, {"xz", 0, "\xfd7zXZ\x00"}, {"zstd", 0, "\x28\xb5\x2f\xfd"},
		{"bzip2", 0, "BZh"}, {"zip", 0, "PK\x03\x04"}, {"7z", 0, "7z\xbc\xaf\x27\x1c"},
		{"tar", 257, "ustar"},
	}
}

// detect tells the format from an image's first bytes and refuses what is not
// wanted. Its errors are permanent.
func detect(head []byte, want string) (detected, error) {
	kind := formatRaw
	if bytes.HasPrefix(head, []byte(qcow2Magic)) {
		kind = formatQCOW2
	}
	for _, s := range signatures() {
		if len(head) > s.offset && bytes.HasPrefix(head[s.offset:], []byte(s.magic)) {
			kind = s.name
		}
	}
	if start := bytes.ToLower(bytes.TrimSpace(head[:min(len(head), 512)])); bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html")) {
		kind = "html"
	}
	switch {
	case want != formatAuto && kind != want:
		return detected{}, sdk.Permanent(fmt.Errorf("import_from_format says %s, but the bytes are %s", want, kind))
	case kind == formatRaw:
		return detected{format: formatRaw}, nil
	case kind == formatQCOW2:
		h, err := parseQCOW2(head)
		if err != nil {
			return detected{}, sdk.Permanent(err)
		}
		return detected{format: formatQCOW2, virtualSize: int64(h.size), qcow2: h}, nil
	default:
		return detected{}, sdk.Permanent(fmt.Errorf("the bytes are %s; only raw and qcow2 images are imported", kind))
	}
}
