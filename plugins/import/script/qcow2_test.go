package script

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// header makes a good one of a disk of 1 GiB in a file of 5 clusters, and puts
// other values at the offsets given.
type patch map[int]any

func header(version uint32, changes patch) []byte {
	h := make([]byte, headSize)
	copy(h, qcow2Magic)
	good := patch{4: version, 20: uint32(16), 24: uint64(1 << 30), 36: uint32(2), 40: uint64(3 << 16), 48: uint64(1 << 16), 56: uint32(1)}
	if version >= 3 {
		good[96], good[100] = uint32(4), uint32(112)
	}
	for _, p := range []patch{good, changes} {
		for at, v := range p {
			switch v := v.(type) {
			case uint32:
				binary.BigEndian.PutUint32(h[at:], v)
			case uint64:
				binary.BigEndian.PutUint64(h[at:], v)
			case byte:
				h[at] = v
			}
		}
	}
	return h
}

const goodFile = 5 << 16

func TestQCOW2Header(t *testing.T) {
	for _, c := range []struct {
		name    string
		version uint32
		changes patch
		want    string // "": taken
	}{
		{"good", 3, nil, ""},
		{"good, version 2", 2, nil, ""},
		{"version 1", 1, nil, "version 1"},
		{"version 4", 4, nil, "version 4"},
		{"backing file", 3, patch{8: uint64(512), 16: uint32(5)}, "backing file"},
		{"backing file, version 2", 2, patch{8: uint64(512), 16: uint32(5)}, "backing file"},
		{"backing file at 0", 3, patch{16: uint32(5)}, "backing file"},
		{"backing file without a name", 3, patch{8: uint64(512)}, "backing file"},
		{"dirty", 3, patch{72: uint64(1)}, ""},
		{"corrupt", 3, patch{72: uint64(2)}, "marked as corrupt"},
		{"data file", 3, patch{72: uint64(4)}, "data_file"},
		{"data file's name alone", 3, patch{112: uint32(qcow2ExtDataFile), 116: uint32(3)}, "data_file"},
		{"data file's name after others", 3, patch{112: uint32(0x6803f857), 116: uint32(50), 176: uint32(qcow2ExtDataFile)}, "data_file"},
		{"data file's name, version 2", 2, patch{72: uint32(qcow2ExtDataFile), 76: uint32(3)}, "data_file"},
		{"data file's name behind the end", 3, patch{120: uint32(qcow2ExtDataFile)}, ""},
		{"zstd", 3, patch{72: uint64(8), 104: byte(1)}, ""},
		{"zstd without the feature", 3, patch{104: byte(1)}, "disagree"},
		{"feature without a type", 3, patch{72: uint64(8)}, "disagree"},
		{"unknown compression", 3, patch{72: uint64(8), 104: byte(2)}, "compression type 2"},
		{"extended entries", 3, patch{72: uint64(16), 36: uint32(4)}, ""},
		{"extended entries need more", 3, patch{72: uint64(16)}, "too small"},
		{"extended entries, small clusters", 3, patch{72: uint64(16), 20: uint32(12), 36: uint32(4000)}, "16 KiB"},
		{"unknown feature", 3, patch{72: uint64(32)}, "unknown incompatible features 0x20"},
		{"unknown feature, high bit", 3, patch{72: uint64(1 << 63)}, "unknown incompatible"},
		{"features are none in version 2", 2, patch{80: uint64(32)}, ""},
		{"compatible and autoclear features", 3, patch{80: uint64(math.MaxUint64), 88: uint64(math.MaxUint64)}, ""},
		{"clusters too small", 3, patch{20: uint32(8)}, "cluster size"},
		{"clusters too large", 3, patch{20: uint32(22)}, "cluster size"},
		{"clusters far too large", 3, patch{20: uint32(0xffffffff)}, "cluster size"},
		{"unknown encryption", 3, patch{32: uint32(3)}, "encryption method 3"},
		{"disk too large", 3, patch{24: uint64(1 << 63)}, "a disk of"},
		{"disk larger than its table", 3, patch{24: uint64(2 << 30)}, "too small"},
		{"table of any size", 3, patch{36: uint32(0xffffffff)}, "too large"},
		{"table unaligned", 3, patch{40: uint64(3<<16 + 8)}, "misplaced"},
		{"table nowhere", 3, patch{40: uint64(0)}, "misplaced"},
		{"table beyond the end", 3, patch{40: uint64(5 << 16)}, "cluster table lies beyond"},
		{"table at the end of the world", 3, patch{40: uint64(math.MaxUint64 &^ 0xffff)}, "beyond"},
		{"refcounts nowhere", 3, patch{48: uint64(0)}, "misplaced"},
		{"no refcounts", 3, patch{56: uint32(0)}, "misplaced"},
		{"refcounts of any size", 3, patch{56: uint32(0xffffffff)}, "too large"},
		{"refcounts beyond the end", 3, patch{48: uint64(7 << 16)}, "reference count table lies beyond"},
		{"refcount order", 3, patch{96: uint32(7)}, "refcount order"},
		{"header too short", 3, patch{100: uint32(96)}, "length is 96"},
		{"header odd", 3, patch{100: uint32(105)}, "length is 105"},
		{"header too long", 3, patch{100: uint32(0xfffffff8)}, "length is"},
		{"header without end", 3, patch{112: uint32(7), 116: uint32(0xffffffff)}, "do not end"},
		{"extensions up to the cluster's end", 3, patch{112: uint32(7), 116: uint32(1<<16 - 120)}, ""},
		{"extensions up to the cluster's end, padded", 3, patch{112: uint32(7), 116: uint32(1<<16 - 127)}, ""},
		{"extensions beyond the cluster's end", 3, patch{112: uint32(7), 116: uint32(1<<16 - 119)}, "do not end"},
		{"header up to the cluster's end", 3, patch{20: uint32(9), 24: uint64(1 << 15), 36: uint32(1), 100: uint32(512)}, ""},
		{"snapshots", 3, patch{60: uint32(2), 64: uint64(4 << 16)}, ""},
		{"snapshots of any number", 3, patch{60: uint32(1 << 20), 64: uint64(4 << 16)}, "too many snapshots"},
		{"snapshots nowhere", 3, patch{60: uint32(2)}, "misplaced"},
		{"snapshots beyond the end", 3, patch{60: uint32(2), 64: uint64(9 << 16)}, "snapshot table lies beyond"},
		{"empty disk", 3, patch{24: uint64(0), 36: uint32(0), 40: uint64(0)}, ""},
	} {
		head := header(c.version, c.changes)
		h, err := parseQCOW2(head)
		if err == nil {
			err = h.checkFile(bytes.NewReader(head), goodFile)
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for n := range 112 {
		if _, err := parseQCOW2(header(3, nil)[:n]); err == nil {
			t.Errorf("%d bytes are a header", n)
		}
	}
}

// qemuImg runs QEMU's tool. One that makes a key first measures how fast the processor is, by the
// time that it has used, and gives up where the system's clock of that has not moved meanwhile: it
// is asked again then.
func qemuImg(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed (Debian: qemu-utils)")
	}
	const tries = 20
	var out []byte
	var err error
	for range tries {
		cmd := exec.CommandContext(t.Context(), "qemu-img", args...)
		cmd.Dir = dir
		if out, err = cmd.CombinedOutput(); !strings.Contains(string(out), "Unable to get accurate CPU usage") {
			break
		}
	}
	if err != nil {
		t.Fatalf("qemu-img %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// What QEMU's own tool makes, and what this code says to it.
func TestImagesMadeByQEMU(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    string
		virtual int64
		want    string
	}{
		{"plain", "create -q -f qcow2 x.img 1G", 1 << 30, ""},
		{"old", "create -q -f qcow2 -o compat=0.10 x.img 1G", 1 << 30, ""},
		{"huge", "create -q -f qcow2 x.img 32T", 32 << 40, ""},
		{"small clusters", "create -q -f qcow2 -o cluster_size=512 x.img 64M", 64 << 20, ""},
		{"large clusters", "create -q -f qcow2 -o cluster_size=2M x.img 1G", 1 << 30, ""},
		{"extended", "create -q -f qcow2 -o extended_l2=on,cluster_size=128k x.img 1G", 1 << 30, ""},
		{"zstd", "create -q -f qcow2 -o compression_type=zstd x.img 1G", 1 << 30, ""},
		{"preallocated", "create -q -f qcow2 -o preallocation=metadata x.img 64M", 64 << 20, ""},
		{"lazy", "create -q -f qcow2 -o lazy_refcounts=on x.img 64M", 64 << 20, ""},
		{"compressed", "convert -q -c -O qcow2 base.img x.img", 262144, ""},
		{"odd size", "create -q -f qcow2 x.img 1000448", 1000448, ""},
		{"empty", "create -q -f qcow2 x.img 0", 0, ""},
		{"luks", "create -q --object secret,id=s,data=abcdefgh -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 x.img 1M", 1 << 20, ""},
		{"backing", "create -q -f qcow2 -b base.img -F raw x.img", 0, "backing file"},
		{"backing, old", "create -q -f qcow2 -o compat=0.10 -b base.img -F raw x.img", 0, "backing file"},
		{"data file", "create -q -f qcow2 -o data_file=data.img x.img 1M", 0, "data_file"},
		{"raw data file", "create -q -f qcow2 -o data_file=data.img,data_file_raw=on x.img 1M", 0, "data_file"},
		{"qcow 1", "create -q -f qcow x.img 1M", 0, "version 1"},
		{"vmdk", "create -q -f vmdk x.img 1M", 0, "vmdk"},
		{"vmdk, flat", "create -q -f vmdk -o subformat=monolithicFlat x.img 1M", 0, "vmdk"},
		{"vhdx", "create -q -f vhdx x.img 1M", 0, "vhdx"},
		{"vdi", "create -q -f vdi x.img 1M", 0, "vdi"},
		{"vhd", "create -q -f vpc x.img 1M", 0, "vhd"},
		{"qed", "create -q -f qed x.img 1M", 0, "qed"},
		{"parallels", "create -q -f parallels x.img 1M", 0, "parallels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.put("base.img", example(t, "small.raw"))
			qemuImg(t, b.root, strings.Fields(c.args)...)
			out, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": "x.img"}))
			if c.want != "" {
				if o.Kind != sdk.OutcomeFailed || !o.Permanent || !strings.Contains(o.Message, c.want) {
					t.Errorf("%+v, want %q", o, c.want)
				}
				b.empty()
				return
			}
			if o.Kind != sdk.OutcomeSucceeded || out.DiskFormat != "qcow2" || out.VirtualSize != c.virtual {
				t.Errorf("%+v, %+v", out, o)
			}
		})
	}
}

// The tool can also change what it made: a snapshot, a size, a dirty flag.
func TestImagesChangedByQEMU(t *testing.T) {
	b := newBench(t, nil)
	qemuImg(t, b.root, "create", "-q", "-f", "qcow2", "x.img", "8M")
	qemuImg(t, b.root, "snapshot", "-c", "one", "x.img")
	qemuImg(t, b.root, "resize", "-q", "x.img", "16G")
	out, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": "x.img"}))
	if o.Kind != sdk.OutcomeSucceeded || out.VirtualSize != 16<<30 {
		t.Errorf("%+v, %+v", out, o)
	}
	whole, err := os.ReadFile(filepath.Join(b.root, "x.img"))
	if err != nil {
		t.Fatal(err)
	}
	b.put("x.img", whole[:len(whole)/4])
	if _, o := b.run(t.Context(), b.task(2, map[string]any{"import_from": "x.img"})); !o.Permanent || !strings.Contains(o.Message, "cut short") {
		t.Errorf("%+v", o)
	}
}

// Extensions may fill the header's cluster to its last byte, and the cluster may be
// larger than the head that is looked at first: what lies behind that is looked at too.
func TestExtensionsFillTheCluster(t *testing.T) {
	for _, c := range []struct {
		name    string
		cluster int
		put     map[int]uint32 // at offsets from the first extension
		want    string
	}{
		{"small", 512, map[int]uint32{0: 7, 4: 512 - 112 - 8}, ""},
		{"two", 64 << 10, map[int]uint32{0: 7, 4: 8, 16: 9, 20: 64<<10 - 112 - 24}, ""},
		{"large", 2 << 20, map[int]uint32{0: 7, 4: 2<<20 - 112 - 8}, ""},
		{"large, too long", 2 << 20, map[int]uint32{0: 7, 4: 2<<20 - 112}, "do not end"},
		{"a data file behind the head", 2 << 20, map[int]uint32{0: 7, 4: 1<<20 - 8, 1 << 20: qcow2ExtDataFile, 1<<20 + 4: 16}, "data_file"},
		{"across the head's end", 2 << 20, map[int]uint32{0: 7, 4: 64<<10 - 112 - 8 - 4, 64<<10 - 112: qcow2ExtDataFile}, "data_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			qemuImg(t, b.root, "create", "-q", "-f", "qcow2", "-o", fmt.Sprintf("cluster_size=%d", c.cluster), "x.img", "1M")
			file := filepath.Join(b.root, "x.img")
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			clear(data[112:c.cluster])
			for at, v := range c.put {
				binary.BigEndian.PutUint32(data[112+at:], v)
			}
			b.put("x.img", data)
			out, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": "x.img"}))
			if c.want != "" {
				if !o.Permanent || !strings.Contains(o.Message, c.want) {
					t.Errorf("%+v, want %q", o, c.want)
				}
				return
			}
			qemuImg(t, b.root, "info", "-f", "qcow2", "x.img") // which fails if it refuses the image
			if o.Kind != sdk.OutcomeSucceeded || out.VirtualSize != 1<<20 {
				t.Errorf("%+v, %+v", out, o)
			}
		})
	}
	b := newBench(t, nil)
	long := header(3, patch{20: uint32(21), 40: uint64(3 << 21), 48: uint64(1 << 21), 112: uint32(7), 116: uint32(1 << 20)})
	b.put("cut", long)
	if _, o := b.run(t.Context(), b.task(1, map[string]any{"import_from": "cut"})); !o.Permanent || !strings.Contains(o.Message, "cut short") {
		t.Errorf("%+v", o)
	}
}

// Whatever the bytes, nothing panics, and what passes holds no name of another file.
func FuzzDetect(f *testing.F) {
	f.Add(header(3, nil), int64(goodFile))
	f.Add(header(2, nil), int64(goodFile))
	f.Add(header(3, patch{8: uint64(512), 16: uint32(5)})[:200], int64(200))
	f.Add(header(3, patch{112: uint32(qcow2ExtDataFile), 116: uint32(3)})[:200], int64(200))
	f.Add(header(3, patch{72: uint64(16), 36: uint32(0xffffffff)})[:200], int64(200))
	f.Add(example(f, "small.qcow2")[:4096], int64(73728))
	f.Add(example(f, "small.raw")[:2048], int64(262144))
	f.Add([]byte("KDMV"), int64(4))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		found, err := detect(head, formatRequest{format: formatAuto})
		if err != nil {
			if o := sdk.OutcomeOf(t.Context(), sdk.Result{}, err); !o.Permanent {
				t.Fatalf("not permanent: %v", err)
			}
			return
		}
		isQCOW2 := bytes.HasPrefix(head, []byte(qcow2Magic))
		if found.format == formatRaw && isQCOW2 || found.format == formatQCOW2 != isQCOW2 {
			t.Fatalf("%x is %s", head[:min(len(head), 16)], found.format)
		}
		if !isQCOW2 {
			return
		}
		if found.virtualSize < 0 || binary.BigEndian.Uint64(head[8:]) != 0 || len(head) >= 80 && found.qcow2.version == 3 && head[79]&4 != 0 {
			t.Fatalf("passed: %+v", found.qcow2)
		}
		if h := found.qcow2; h.checkFile(bytes.NewReader(head), size) == nil && h.l1Entries > 0 && int64(h.l1Offset)+int64(h.l1Entries)*8 > size {
			t.Fatalf("fits %d bytes: %+v", size, h)
		}
	})
}
