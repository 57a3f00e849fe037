// Package wire is what the host and its workers say to one another, whatever broker carries
// it: starts, batches of items, heartbeats and offers, with the bounds that both hold to and
// the names of peers and lanes. Whatever it decodes may come from anyone.
package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// The messages are binary: fields in a fixed order, numbers as varints, bytes and
// strings behind their length. A message begins with the version of the format,
// and consists of items, each behind its length: what a later version adds at the
// end of an item, or as a kind of its own, an earlier one passes over.

// FormatVersion is the first byte of every start and batch.
const FormatVersion = 1

// ErrGarbled is a message that cannot be read, or makes no sense.
var ErrGarbled = errors.New("not a message of this protocol")

func putUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func putInt(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func putBytes(b, v []byte) []byte { return append(putUint(b, uint64(len(v))), v...) }

func putString(b []byte, v string) []byte { return append(putUint(b, uint64(len(v))), v...) }

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func putMap(b []byte, m map[string]string) []byte {
	b = putUint(b, uint64(len(m)))
	for k, v := range m {
		b = putString(putString(b, k), v)
	}
	return b
}

// farTime stands before a time that does not fit in nanoseconds: one before 1678 or
// after 2262.
const farTime = math.MinInt64

// putTime writes t to the nanosecond; the zero time as zero.
func putTime(b []byte, t time.Time) []byte {
	switch y := t.Year(); {
	case t.IsZero():
		return putInt(b, 0)
	case y <= 1678 || y >= 2262:
		return putInt(putInt(putInt(b, farTime), t.Unix()), int64(t.Nanosecond()))
	}
	return putInt(b, t.UnixNano())
}

// decoder reads what the put functions wrote. After the first field that does not
// fit it only returns zeros; err says so at the end. A field missing at the very
// end is zero without error: an earlier version wrote the message.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) err() error {
	if d.bad {
		return ErrGarbled
	}
	return nil
}

func (d *decoder) uint() uint64 {
	if len(d.b) == 0 {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		d.b = nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	if len(d.b) == 0 {
		return 0
	}
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		d.b = nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// take returns the next n bytes, still part of the message.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad = true
		d.b = nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// bytes are part of the message, which nobody changes; empty is nil.
func (d *decoder) bytes() []byte {
	if n := d.uint(); n > 0 {
		return d.take(n)
	}
	return nil
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) bool() bool {
	if len(d.b) == 0 {
		return false
	}
	return d.take(1)[0] != 0
}

func (d *decoder) strings() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, d.string())
	}
	return out
}

// count reads the length of a list whose elements take at least size bytes each,
// so that a message cannot ask for more memory than it has bytes. Lists are bounded:
// in memory their elements are larger than on the way.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) || n > maxListed {
		d.bad = true
		d.b = nil
		return 0
	}
	return int(n)
}

func (d *decoder) stringMap() map[string]string {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	out := make(map[string]string, n)
	for range n {
		k := d.string()
		out[k] = d.string()
	}
	return out
}

func (d *decoder) time() time.Time {
	switch ns := d.int(); ns {
	case 0:
		return time.Time{}
	case farTime:
		t := time.Unix(d.int(), d.int())
		if y := t.UTC().Year(); y < 0 || y > 9999 {
			d.bad = true
			d.b = nil
			return time.Time{}
		}
		return t
	default:
		return time.Unix(0, ns)
	}
}

func (d *decoder) token() (t sdk.Token) {
	copy(t[:], d.take(uint64(len(t))))
	return t
}
