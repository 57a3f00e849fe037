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
	name   string
	advice string // what an error says: what sort of file it is, and what to do about it
	// matches tells it by the image's beginning or end; see headKinds and tailKinds.
	matches func(b []byte) bool
}

// What an error says of a kind.
const (
	otherFormat = "a disk image of another format: convert it first, such as with qemu-img convert"
	qcow2Format = "a disk image, but not a raw one"
	compressed  = "compressed: decompress it first"
	archive     = "an archive: unpack it first"
	dump        = "the dump of another tool: restore it to a disk first"
	encrypted   = "encrypted: whoever opens it later would have to know that"
	webPage     = "what servers send in place of a file: look at what the source really is"
	notDisk     = "no disk"
)

// recognize is the first of kinds that b is, nil for none.
func recognize(kinds []kind, b []byte) *kind {
	for i := range kinds {
		if kinds[i].matches(b) {
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
		{formatQCOW2, qcow2Format, hasPrefix(qcow2Magic)},
		// A sparse extent of VMware's hosted products, of its servers, and of "SEsparse".
		{"vmdk", otherFormat, hasPrefix("KDMV", "COWD", "\xbe\xba\xfe\xca\x00\x00\x00\x00")},
		{"vmdk", otherFormat, isVMDKDescriptor},
		{"vhd", otherFormat, hasPrefix("conectix")},
		{"vhdx", otherFormat, hasPrefix("vhdxfile")},
		{"vdi", otherFormat, hasAt(0x40, "\x7f\x10\xda\xbe")},
		{"qed", otherFormat, hasPrefix("QED\x00")},
		{"parallels", otherFormat, hasPrefix("WithoutFreeSpace", "WithouFreSpacExt")},
		{"bochs", otherFormat, hasPrefix("Bochs Virtual HD Image")},
		{"cloop", otherFormat, hasPrefix("#!/bin/sh\n#V2.0 Format\n")},
		{"cow", otherFormat, hasPrefix("OOOM", "MOOO")},
		{"dmg", otherFormat, hasPrefix("koly\x00\x00\x00\x04", "encrcdsa")},
		{"sparseimage", otherFormat, hasPrefix("sprs\x00\x00\x00")},
		{"cd image", otherFormat, hasPrefix("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00")}, // sectors with their marks: .bin, .mdf
		{"android sparse image", otherFormat, hasPrefix("\x3a\xff\x26\xed")},

		{"luks", encrypted, hasPrefix("LUKS\xba\xbe")},
		{"openssl", encrypted, hasPrefix("Salted__")},
	}
}

func packedKinds() []kind {
	return []kind{
		{"gzip", compressed, hasPrefix("\x1f\x8b\x08")},
		{"xz", compressed, hasPrefix("\xfd7zXZ\x00")},
		{"zstd", compressed, isZstd},
		{"lz4", compressed, hasPrefix("\x04\x22\x4d\x18", "\x02\x21\x4c\x18")}, // frames, and the legacy format
		{"bzip2", compressed, isBzip2},
		{"lzip", compressed, hasPrefix("LZIP")},
		{"lzma", compressed, isLZMA},
		{"compress", compressed, isCompress},
		{"pack", compressed, isPack},
		{"lzop", compressed, hasPrefix("\x89LZO\x00\r\n\x1a\n")},
		{"lrzip", compressed, hasPrefix("LRZI")},
		{"snappy", compressed, hasPrefix("\xff\x06\x00\x00sNaPpY")},
		{"lzfse", compressed, hasPrefix("bvx-", "bvx1", "bvx2", "bvxn")},

		{"zip", archive, hasPrefix("PK\x03\x04", "PK\x05\x06", "PK\x07\x08", "PK00PK\x03\x04")},
		{"7z", archive, hasPrefix("7z\xbc\xaf\x27\x1c")},
		{"rar", archive, hasPrefix("Rar!\x1a\x07", "RE~^")},
		{"tar", archive, isTar},
		{"cpio", archive, isCPIO},
		{"ar", archive, hasPrefix("!<arch>\n", "!<thin>\n")},
		{"rpm", archive, hasPrefix("\xed\xab\xee\xdb")},
		{"cab", archive, hasPrefix("MSCF\x00\x00\x00\x00")},
		{"xar", archive, hasPrefix("xar!\x00")},
		{"wim", archive, hasPrefix("MSWIM\x00\x00\x00", "WLPWM\x00\x00\x00")},
		{"lha", archive, isLHA},
	}
}

func dumpKinds() []kind {
	return []kind{
		{"rbd export", dump, hasPrefix("rbd image v", "rbd diff v")},
		{"zfs stream", dump, hasAt(8, "\xac\xcb\xba\xf5\x02\x00\x00\x00", "\x00\x00\x00\x02\xf5\xba\xcb\xac")},
		{"btrfs stream", dump, hasPrefix("btrfs-stream\x00")},
		{"partclone", dump, hasPrefix("partclone-image")},
		{"partimage", dump, hasPrefix("PaRtImAgE-VoLuMe")},
		{"ntfsclone", dump, hasPrefix("\x00ntfsclone-image")},
		{"ewf", dump, hasPrefix("EVF\x09\x0d\x0a\xff\x00", "EVF2\x0d\x0a\x81\x00")},
		{"aff", dump, hasPrefix("AFF10\r\n\x00")},
	}
}

func otherKinds() []kind {
	return []kind{
		{"elf", notDisk, hasPrefix("\x7fELF")},
		{"pe", notDisk, isPE},
		{"pdf", notDisk, hasPrefix("%PDF-")},
		{"office document", notDisk, hasPrefix("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")},
		{"jpeg", notDisk, hasPrefix("\xff\xd8\xff\xe0", "\xff\xd8\xff\xe1", "\xff\xd8\xff\xdb")},
		{"gif", notDisk, hasPrefix("GIF87a", "GIF89a")},
		{"mp4", notDisk, hasAt(4, "ftypisom", "ftypmp4", "ftypqt", "ftypM4")},
		{"matroska", notDisk, hasPrefix("\x1a\x45\xdf\xa3")},
		{"riff", notDisk, hasAt(8, "WAVEfmt ", "AVI LIST", "WEBPVP8")},
		{"png", notDisk, hasPrefix("\x89PNG\r\n\x1a\n")},
		{"sqlite", notDisk, hasPrefix("SQLite format 3\x00")},

		{"html", webPage, isHTML},
		{"xml", webPage, isXML},
		{"script", notDisk, hasPrefix("#!/", "#! /")},
		{"text", webPage, isText},
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

// hasPrefix makes the test for any of these marks at the beginning.
func hasPrefix(magics ...string) func([]byte) bool { return hasAt(0, magics...) }

// hasAt makes the test for any of these marks at offset.
func hasAt(offset int, magics ...string) func([]byte) bool {
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
	return i >= 0 && hasAt(i+12, "\x00\x01\x00\x00")(b)
}

// A frame of any version, a dictionary, or a frame that decoders skip, with which any file may begin.
func isZstd(b []byte) bool {
	return len(b) >= 4 && (b[0] >= 0x1e && b[0] <= 0x28 && hasAt(1, "\xb5\x2f\xfd")(b) ||
		b[0]&0xf0 == 0x50 && hasAt(1, "\x2a\x4d\x18")(b) ||
		hasPrefix("\x37\xa4\x30\xec")(b))
}

// The mark is followed by the size of a block and the mark of the first, or of the end.
func isBzip2(b []byte) bool {
	return hasPrefix("BZh")(b) && len(b) > 3 && b[3] >= '1' && b[3] <= '9' &&
		hasAt(4, "\x31\x41\x59\x26\x53\x59", "\x17\x72\x45\x38\x50\x90")(b)
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
	return hasPrefix("\x1f\x9d")(b) && len(b) > 4 && b[2]&0x60 == 0 && b[2]&0x1f >= 9 && b[2]&0x1f <= 16 && b[4]&1 == 0
}

// What pack(1) makes: .z. The size is followed by the depth of its tree of codes.
func isPack(b []byte) bool {
	return hasPrefix("\x1f\x1e")(b) && len(b) > 6 && binary.BigEndian.Uint32(b[2:]) > 0 && b[6] >= 1 && b[6] <= 24
}

// A header has the sum of its own bytes in it, in octal digits; the digits themselves
// count as spaces.
func isTar(b []byte) bool {
	if hasAt(257, "ustar")(b) {
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
	if hasPrefix("070701", "070702", "070707")(b) {
		return true
	}
	var order binary.ByteOrder = binary.LittleEndian
	if hasPrefix("\x71\xc7")(b) {
		order = binary.BigEndian
	} else if !hasPrefix("\xc7\x71")(b) {
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
	return hasAt(2, "-lh", "-lz")(b) && len(b) > 6 && b[6] == '-'
}

// A program for Windows or EFI: the old header says where the new one is.
func isPE(b []byte) bool {
	const where = 0x3c
	if !hasPrefix("MZ")(b) || len(b) < where+4 {
		return false
	}
	offset := binary.LittleEndian.Uint32(b[where:])
	return offset < headSize && hasAt(int(offset), "PE\x00\x00")(b)
}
