package script

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
)

// A raw disk has no mark of its own: any bytes can be one. But what is stored as
// raw and is something else is read as what it is by whoever probes it
// later, and some formats name other files to read (CVE-2022-47951). So all kinds of
// file that can be told from a disk stand here, and what none of them knows is raw.

// kind is a kind of file that is not a raw disk.
type kind struct {
	name string
	sort string // of what sort it is and what to do about it
	// is tells it by the image's beginning or end; see headKinds and tailKinds.
	is func(b []byte) bool
}

// The sorts, as an error has them.
const (
	otherFormat = "a disk image of another format: convert it first, such as with qemu-img convert"
	qcow2Format = "a disk image, but not a raw one"
	compressed  = "compressed: decompress it first"
	archive     = "an archive: unpack it first"
	dump        = "the dump of another tool: restore it to a disk first"
	encrypted   = "encrypted: whoever opens it later would have to know that"
	page        = "what servers send in place of a file: look at what the source really is"
	notDisk     = "no disk"
)

// recognize is the first of kinds that b is, nil for none.
func recognize(kinds []kind, b []byte) *kind {
	for i := range kinds {
		if kinds[i].is(b) {
			return &kinds[i]
		}
	}
	return nil
}

// headKinds are told by a file's beginning, headSize bytes or the whole file. What
// has a mark of its own comes first, what is known by its looks last.
func headKinds() []kind {
	return slices.Concat(imageKinds(), packedKinds(), dumpKinds(), otherKinds())
}

func imageKinds() []kind {
	return []kind{
		{formatQCOW2, qcow2Format, begins(qcow2Magic)},
		// A sparse extent of VMware's hosted products, of its servers, and of "SEsparse".
		{"vmdk", otherFormat, begins("KDMV", "COWD", "\xbe\xba\xfe\xca\x00\x00\x00\x00")},
		{"vmdk", otherFormat, isVMDKDescriptor},
		{"vhd", otherFormat, begins("conectix")},
		{"vhdx", otherFormat, begins("vhdxfile")},
		{"vdi", otherFormat, at(0x40, "\x7f\x10\xda\xbe")},
		{"qed", otherFormat, begins("QED\x00")},
		{"parallels", otherFormat, begins("WithoutFreeSpace", "WithouFreSpacExt")},
		{"bochs", otherFormat, begins("Bochs Virtual HD Image")},
		{"cloop", otherFormat, begins("#!/bin/sh\n#V2.0 Format\n")},
		{"cow", otherFormat, begins("OOOM", "MOOO")},
		{"dmg", otherFormat, begins("koly\x00\x00\x00\x04", "encrcdsa")},
		{"sparseimage", otherFormat, begins("sprs\x00\x00\x00")},
		{"cd image", otherFormat, begins("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00")}, // sectors with their marks: .bin, .mdf
		{"android sparse image", otherFormat, begins("\x3a\xff\x26\xed")},

		{"luks", encrypted, begins("LUKS\xba\xbe")},
		{"openssl", encrypted, begins("Salted__")},
	}
}

func packedKinds() []kind {
	return []kind{
		{"gzip", compressed, begins("\x1f\x8b\x08")},
		{"xz", compressed, begins("\xfd7zXZ\x00")},
		{"zstd", compressed, isZstd},
		{"lz4", compressed, begins("\x04\x22\x4d\x18", "\x02\x21\x4c\x18")}, // frames, and the legacy format
		{"bzip2", compressed, isBzip2},
		{"lzip", compressed, begins("LZIP")},
		{"lzma", compressed, isLZMA},
		{"compress", compressed, isCompress},
		{"pack", compressed, isPack},
		{"lzop", compressed, begins("\x89LZO\x00\r\n\x1a\n")},
		{"lrzip", compressed, begins("LRZI")},
		{"snappy", compressed, begins("\xff\x06\x00\x00sNaPpY")},
		{"lzfse", compressed, begins("bvx-", "bvx1", "bvx2", "bvxn")},

		{"zip", archive, begins("PK\x03\x04", "PK\x05\x06", "PK\x07\x08", "PK00PK\x03\x04")},
		{"7z", archive, begins("7z\xbc\xaf\x27\x1c")},
		{"rar", archive, begins("Rar!\x1a\x07", "RE~^")},
		{"tar", archive, isTar},
		{"cpio", archive, isCPIO},
		{"ar", archive, begins("!<arch>\n", "!<thin>\n")},
		{"rpm", archive, begins("\xed\xab\xee\xdb")},
		{"cab", archive, begins("MSCF\x00\x00\x00\x00")},
		{"xar", archive, begins("xar!\x00")},
		{"wim", archive, begins("MSWIM\x00\x00\x00", "WLPWM\x00\x00\x00")},
		{"lha", archive, isLHA},
	}
}

func dumpKinds() []kind {
	return []kind{
		{"rbd export", dump, begins("rbd image v", "rbd diff v")},
		{"zfs stream", dump, at(8, "\xac\xcb\xba\xf5\x02\x00\x00\x00", "\x00\x00\x00\x02\xf5\xba\xcb\xac")},
		{"btrfs stream", dump, begins("btrfs-stream\x00")},
		{"partclone", dump, begins("partclone-image")},
		{"partimage", dump, begins("PaRtImAgE-VoLuMe")},
		{"ntfsclone", dump, begins("\x00ntfsclone-image")},
		{"ewf", dump, begins("EVF\x09\x0d\x0a\xff\x00", "EVF2\x0d\x0a\x81\x00")},
		{"aff", dump, begins("AFF10\r\n\x00")},
	}
}

func otherKinds() []kind {
	return []kind{
		{"elf", notDisk, begins("\x7fELF")},
		{"pe", notDisk, isPE},
		{"pdf", notDisk, begins("%PDF-")},
		{"office document", notDisk, begins("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")},
		{"jpeg", notDisk, begins("\xff\xd8\xff\xe0", "\xff\xd8\xff\xe1", "\xff\xd8\xff\xdb")},
		{"gif", notDisk, begins("GIF87a", "GIF89a")},
		{"mp4", notDisk, at(4, "ftypisom", "ftypmp4", "ftypqt", "ftypM4")},
		{"matroska", notDisk, begins("\x1a\x45\xdf\xa3")},
		{"riff", notDisk, at(8, "WAVEfmt ", "AVI LIST", "WEBPVP8")},
		{"png", notDisk, begins("\x89PNG\r\n\x1a\n")},
		{"sqlite", notDisk, begins("SQLite format 3\x00")},

		{"html", page, isHTML},
		{"xml", page, isXML},
		{"script", notDisk, begins("#!/", "#! /")},
		{"text", page, isText},
	}
}

// tailKinds are told by the last tailSize bytes of a file.
func tailKinds() []kind {
	return []kind{
		// A disk with a footer: what QEMU calls a fixed vpc image.
		{"vhd", otherFormat, hasVHDFooter},
		{"dmg", otherFormat, func(b []byte) bool {
			return bytes.Contains(b, []byte("koly\x00\x00\x00\x04\x00\x00\x02\x00")) || bytes.HasSuffix(b, []byte("cdsaencr"))
		}},
	}
}

func begins(magics ...string) func([]byte) bool { return at(0, magics...) }

func at(offset int, magics ...string) func([]byte) bool {
	return func(b []byte) bool {
		if len(b) < offset {
			return false
		}
		for _, m := range magics {
			if bytes.HasPrefix(b[offset:], []byte(m)) {
				return true
			}
		}
		return false
	}
}

// The footer begins with its cookie, features and version 1.0. It is the last 512 bytes, or 511
// in files of old tools.
func hasVHDFooter(b []byte) bool {
	i := bytes.LastIndex(b, []byte("conectix"))
	return i >= 0 && at(i+12, "\x00\x01\x00\x00")(b)
}

// A frame of any version, a dictionary, or a frame that decoders skip, with which any file may begin.
func isZstd(b []byte) bool {
	return len(b) >= 4 && (b[0] >= 0x1e && b[0] <= 0x28 && at(1, "\xb5\x2f\xfd")(b) ||
		b[0]&0xf0 == 0x50 && at(1, "\x2a\x4d\x18")(b) ||
		begins("\x37\xa4\x30\xec")(b))
}

// The mark is followed by the size of a block and the mark of the first, or of the end.
func isBzip2(b []byte) bool {
	return begins("BZh")(b) && len(b) > 3 && b[3] >= '1' && b[3] <= '9' &&
		at(4, "\x31\x41\x59\x26\x53\x59", "\x17\x72\x45\x38\x50\x90")(b)
}

// An .lzma file has no mark. Its header is properties, the dictionary's size, and
// the size of the content or -1; the coder's first byte is 0. It is read as
// strictly as xz reads it.
func isLZMA(b []byte) bool {
	if len(b) < 14 || b[0] >= 9*5*5 || b[13] != 0 {
		return false
	}
	dict := binary.LittleEndian.Uint32(b[1:])
	size := binary.LittleEndian.Uint64(b[5:])
	one := dict & -dict // the lowest bit that is set
	return dict >= 1<<12 && (dict == one || dict == one|one<<1) && (size == 1<<64-1 || size > 0 && size < 1<<38)
}

// What compress(1) makes: .Z. The third byte is the widest code, with a flag; the
// first code, of nine bits, is a literal.
func isCompress(b []byte) bool {
	return begins("\x1f\x9d")(b) && len(b) > 4 && b[2]&0x60 == 0 && b[2]&0x1f >= 9 && b[2]&0x1f <= 16 && b[4]&1 == 0
}

// What pack(1) makes: .z. The size is followed by the depth of its tree of codes.
func isPack(b []byte) bool {
	return begins("\x1f\x1e")(b) && len(b) > 6 && binary.BigEndian.Uint32(b[2:]) > 0 && b[6] >= 1 && b[6] <= 24
}

// A header has the sum of its own bytes in it, in octal digits; the digits themselves
// count as spaces.
func isTar(b []byte) bool {
	if at(257, "ustar")(b) {
		return true
	}
	const block, field, end = 512, 148, 156
	if len(b) < block {
		return false
	}
	said, err := strconv.ParseInt(string(bytes.Trim(b[field:end], " \x00")), 8, 32)
	if err != nil || b[0] == 0 {
		return false
	}
	sum := int64(end-field) * ' '
	for i, c := range b[:block] {
		if i < field || i >= end {
			sum += int64(c)
		}
	}
	return said == sum
}

// Of the binary form the mark is short, so the first name is looked at too.
func isCPIO(b []byte) bool {
	if begins("070701", "070702", "070707")(b) {
		return true
	}
	var order binary.ByteOrder = binary.LittleEndian
	if begins("\x71\xc7")(b) {
		order = binary.BigEndian
	} else if !begins("\xc7\x71")(b) {
		return false
	}
	const header, nameSize = 26, 20
	if len(b) < header {
		return false
	}
	end := header + int(order.Uint16(b[nameSize:]))
	if end < header+2 || end > len(b) {
		return false
	}
	return bytes.IndexByte(b[header:end], 0) == end-header-1
}

// The method stands behind two bytes, such as -lh5-.
func isLHA(b []byte) bool {
	return at(2, "-lh", "-lz")(b) && len(b) > 6 && b[6] == '-'
}

// A program for Windows or EFI: the old header says where the new one is.
func isPE(b []byte) bool {
	const where = 0x3c
	if !begins("MZ")(b) || len(b) < where+4 {
		return false
	}
	offset := binary.LittleEndian.Uint32(b[where:])
	return offset < headSize && at(int(offset), "PE\x00\x00")(b)
}
