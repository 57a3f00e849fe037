package script

import (
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/sdk"
)

// The formats that a client may name.
const (
	formatAuto  = "auto"
	formatRaw   = "raw"
	formatQCOW2 = "qcow2"
)

const (
	// headSize is how much of an image's beginning is looked at: whatever is known
	// by its beginning is known by less, and it is no more than one read.
	headSize = 64 << 10
	// tailSize is how much of an image's end is looked at: what is known by its end
	// has a trailer of 512 bytes, behind which some tools leave a few more.
	tailSize = 2 << 10
)

// formatRequest is what a client says of an image.
type formatRequest struct {
	format   string
	allowAny bool // with raw: take the bytes whatever they are
}

// detected is what an image's bytes say of it.
type detected struct {
	format      string
	virtualSize int64        // of raw: known at the end only
	qcow2       *qcow2Header // of qcow2
	// recognized is the kind of file that allow_any let in as raw; "" for none.
	recognized string
}

// detect tells the format from the beginning of an image, headSize bytes or the
// whole of it, and refuses what is not wanted. Its errors are permanent. Some
// files are known only by their end: see detectTail.
func detect(head []byte, want formatRequest) (detected, error) {
	k := recognize(headKinds(), head)
	switch {
	case k != nil && k.name == formatQCOW2 && want.format != formatRaw:
		h, err := parseQCOW2(head)
		if err != nil {
			return detected{}, sdk.Permanent(err)
		}
		return detected{format: formatQCOW2, virtualSize: int64(h.size), qcow2: h}, nil
	case k != nil:
		return admitAsRaw(k, want)
	case want.format == formatQCOW2:
		return detected{}, sdk.Permanent(errors.New("import_from_format says qcow2, but the bytes are raw, or of an unknown format"))
	default:
		return detected{format: formatRaw}, nil
	}
}

// detectTail looks at the last tailSize bytes of what detect took for raw.
func detectTail(tail []byte, want formatRequest) (detected, error) {
	if k := recognize(tailKinds(), tail); k != nil {
		return admitAsRaw(k, want)
	}
	return detected{format: formatRaw}, nil
}

// admitAsRaw takes a file of a known kind as raw if the client insists on it, and
// refuses it otherwise.
func admitAsRaw(k *kind, want formatRequest) (detected, error) {
	if want.format == formatRaw && want.allowAny {
		return detected{format: formatRaw, recognized: k.name}, nil
	}
	found, hint := "the bytes are "+k.name, ""
	if want.format != formatAuto {
		found = fmt.Sprintf("import_from_format says %s, but %s", want.format, found)
	}
	if want.format != formatQCOW2 {
		hint = fmt.Sprintf(`; "import_from_format": %q with "allow_any": true takes them as they are`, formatRaw)
	}
	return detected{}, sdk.Permanent(fmt.Errorf("%s (%s); only raw and qcow2 images are imported%s", found, k.advice, hint))
}
