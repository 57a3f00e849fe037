package script

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// What is read here is described in QEMU's docs/interop/qcow2.txt. An image comes
// from a stranger: one that names another file would have whoever opens it
// later read that file, so the header is checked before the image is kept.

const qcow2Magic = "QFI\xfb"

// Bits of incompatible_features. A reader must refuse an image with any it does not know.
const (
	qcow2Dirty       = 1 << 0 // not closed cleanly; its data are whole
	qcow2Corrupt     = 1 << 1
	qcow2DataFile    = 1 << 2
	qcow2Compression = 1 << 3
	qcow2ExtendedL2  = 1 << 4

	qcow2Known = qcow2Dirty | qcow2Corrupt | qcow2DataFile | qcow2Compression | qcow2ExtendedL2
)

// Types of header extensions that matter.
const (
	qcow2ExtEnd      = 0
	qcow2ExtDataFile = 0x44415441
)

// Limits that QEMU keeps too.
const (
	qcow2MinClusterBits = 9
	qcow2MaxClusterBits = 21
	qcow2MaxL1          = 32 << 20 // bytes
	qcow2MaxRefTable    = 8 << 20
	qcow2MaxSnapshots   = 65536
)

// qcow2Header is what the check needs of an image's header.
type qcow2Header struct {
	version         uint32
	clusterBits     uint32
	size            uint64 // virtual, in bytes
	incompatible    uint64
	l1Entries       uint32
	l1Offset        uint64
	refTableOffset  uint64
	refTableCluster uint32
	snapshots       uint32
	snapshotsOffset uint64
	headerLength    uint32
	// nextExtension is where the extensions go on behind the head; 0 if all were looked at.
	nextExtension uint64
}

// parseQCOW2 reads the header from the first bytes of an image, 64 KiB if it has
// as many, and refuses what must not be kept. What lies behind them is for checkFile.
func parseQCOW2(head []byte) (*qcow2Header, error) {
	if len(head) < 72 || string(head[:4]) != qcow2Magic {
		return nil, errQCOW2Short
	}
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(head[at:]) }
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(head[at:]) }
	h := &qcow2Header{
		version: u32(4), clusterBits: u32(20), size: u64(24),
		l1Entries: u32(36), l1Offset: u64(40),
		refTableOffset: u64(48), refTableCluster: u32(56),
		snapshots: u32(60), snapshotsOffset: u64(64), headerLength: 72,
	}
	if h.version != 2 && h.version != 3 {
		return nil, fmt.Errorf("qcow2: version %d is not supported, only 2 and 3", h.version)
	}
	if u64(8) != 0 || u32(16) != 0 {
		return nil, errors.New("qcow2: the image has a backing file; flatten it first (qemu-img convert)")
	}
	if crypt := u32(32); crypt > 2 {
		return nil, fmt.Errorf("qcow2: encryption method %d is unknown", crypt)
	}
	if h.version == 3 {
		if err := h.parseVersion3(head); err != nil {
			return nil, err
		}
	}
	if err := h.checkClusters(); err != nil {
		return nil, err
	}
	if err := h.checkTables(); err != nil {
		return nil, err
	}
	h.nextExtension = uint64(h.headerLength)
	return h, h.checkExtensions(bytes.NewReader(head), int64(len(head)))
}

var errQCOW2Short = errors.New("qcow2: the header is cut short")

// parseVersion3 reads what the header of version 3 has more.
func (h *qcow2Header) parseVersion3(head []byte) error {
	if len(head) < 104 {
		return errQCOW2Short
	}
	h.incompatible = binary.BigEndian.Uint64(head[72:])
	h.headerLength = binary.BigEndian.Uint32(head[100:])
	if order := binary.BigEndian.Uint32(head[96:]); order > 6 {
		return fmt.Errorf("qcow2: corrupt header: refcount order %d", order)
	}
	if h.headerLength < 104 || h.headerLength%8 != 0 || int64(h.headerLength) > int64(len(head)) {
		return fmt.Errorf("qcow2: corrupt header: its length is %d", h.headerLength)
	}
	return h.checkFeatures(head)
}

// checkFeatures is for version 3, with the whole header in head.
func (h *qcow2Header) checkFeatures(head []byte) error {
	if unknown := h.incompatible &^ qcow2Known; unknown != 0 {
		return fmt.Errorf("qcow2: unknown incompatible features %#x", unknown)
	}
	if h.incompatible&qcow2Corrupt != 0 {
		return errors.New("qcow2: the image is marked as corrupt")
	}
	if h.incompatible&qcow2DataFile != 0 {
		return errDataFile
	}
	compression := byte(0)
	if h.headerLength >= 112 {
		compression = head[104]
	}
	if compression > 1 {
		return fmt.Errorf("qcow2: compression type %d is unknown", compression)
	}
	if (compression != 0) != (h.incompatible&qcow2Compression != 0) {
		return errors.New("qcow2: corrupt header: compression type and features disagree")
	}
	return nil
}

var errDataFile = errors.New("qcow2: the image keeps its data in another file (data_file)")

// checkClusters checks what the size of a cluster has to do with.
func (h *qcow2Header) checkClusters() error {
	if h.clusterBits < qcow2MinClusterBits || h.clusterBits > qcow2MaxClusterBits {
		return fmt.Errorf("qcow2: corrupt header: cluster size of 2^%d bytes", h.clusterBits)
	}
	if uint64(h.headerLength) > h.cluster() {
		return fmt.Errorf("qcow2: corrupt header: its length is %d", h.headerLength)
	}
	if h.size > math.MaxInt64 {
		return fmt.Errorf("qcow2: corrupt header: a disk of %d bytes", h.size)
	}
	if h.incompatible&qcow2ExtendedL2 != 0 && h.clusterBits < 14 {
		return errors.New("qcow2: corrupt header: extended entries in clusters below 16 KiB")
	}
	return nil
}

// cluster is the size of a cluster in bytes. checkClusters has bounded it.
func (h *qcow2Header) cluster() uint64 { return 1 << h.clusterBits }

// l1Needed is how many first-level entries map the whole disk.
func (h *qcow2Header) l1Needed() uint64 {
	entry := uint64(8) // bytes of an entry in a second-level table
	if h.incompatible&qcow2ExtendedL2 != 0 {
		entry = 16
	}
	reach := h.cluster() / entry * h.cluster() // bytes that one first-level entry maps; at most 2^39
	need := h.size / reach
	if h.size%reach != 0 {
		need++
	}
	return need
}

// checkTables checks the places and sizes of the tables, after checkClusters.
func (h *qcow2Header) checkTables() error {
	cluster := h.cluster()
	misplaced := func(offset uint64) bool { return offset%cluster != 0 || offset == 0 }
	for _, fault := range []struct {
		found bool
		what  string
	}{
		{uint64(h.l1Entries)*8 > qcow2MaxL1, "the cluster table is too large"},
		{uint64(h.l1Entries) < h.l1Needed(), "the cluster table is too small for the disk"},
		{h.l1Offset%cluster != 0 || h.l1Entries > 0 && h.l1Offset == 0, "the cluster table is misplaced"},
		{misplaced(h.refTableOffset) || h.refTableCluster == 0, "the reference count table is misplaced"},
		{uint64(h.refTableCluster)*cluster > max(qcow2MaxRefTable, cluster), "the reference count table is too large"},
		{h.snapshots > qcow2MaxSnapshots, "too many snapshots"},
		{h.snapshots > 0 && misplaced(h.snapshotsOffset), "the snapshot table is misplaced"},
	} {
		if fault.found {
			return errors.New("qcow2: corrupt header: " + fault.what)
		}
	}
	return nil
}

// checkExtensions walks the extensions, one of which may name a data file, as far
// as from reaches. They end by a mark of their own, or with the first cluster.
func (h *qcow2Header) checkExtensions(from io.ReaderAt, size int64) error {
	const head = 8 // the type and the length
	cluster := h.cluster()
	for h.nextExtension < cluster {
		if h.nextExtension+head > uint64(size) {
			return nil
		}
		var b [head]byte
		if _, err := from.ReadAt(b[:], int64(h.nextExtension)); err != nil {
			return fmt.Errorf("qcow2: read the header back: %w", err)
		}
		switch binary.BigEndian.Uint32(b[:]) {
		case qcow2ExtEnd:
			h.nextExtension = 0
			return nil
		case qcow2ExtDataFile:
			return errDataFile
		}
		h.nextExtension += head
		length := uint64(binary.BigEndian.Uint32(b[4:]))
		if length > cluster-h.nextExtension {
			return errors.New("qcow2: corrupt header: its extensions do not end with the first cluster")
		}
		h.nextExtension += (length + 7) &^ 7
	}
	h.nextExtension = 0
	return nil
}

// checkFile checks the header against the whole file: tables that lie beyond its end
// mean that it was cut short.
func (h *qcow2Header) checkFile(from io.ReaderAt, file int64) error {
	if h.nextExtension > 0 {
		if err := h.checkExtensions(from, file); err != nil {
			return err
		}
	}
	if h.nextExtension > 0 {
		return errors.New("qcow2: the header's extensions lie beyond the end of the file; was it cut short?")
	}
	within := func(what string, offset, length uint64) error {
		if end := offset + length; end < offset || end > uint64(file) {
			return fmt.Errorf("qcow2: the %s lies beyond the end of the file; was it cut short?", what)
		}
		return nil
	}
	if err := within("cluster table", h.l1Offset, uint64(h.l1Entries)*8); err != nil {
		return err
	}
	if err := within("reference count table", h.refTableOffset, uint64(h.refTableCluster)*h.cluster()); err != nil {
		return err
	}
	return within("snapshot table", h.snapshotsOffset, uint64(h.snapshots)*40)
}
