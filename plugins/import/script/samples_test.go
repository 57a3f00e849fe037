package script

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
)

// sample is a file and the kind that it must be taken for; "" for a raw disk.
type sample struct {
	name string
	data []byte
	want string
}

func samples(t testing.TB) []sample {
	all := append(textSamples(), diskSamples()...)
	return append(all, markedSamples(t)...)
}

const (
	vmdkBody = "version=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\nRW 8 FLAT \"/etc/passwd\" 0\n"
	s3Error  = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)

func utf16Of(s string, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func textSamples() []sample {
	const bom = "\xef\xbb\xbf"
	pad := strings.Repeat("\x00", 4096)
	list := []sample{}
	for kind, texts := range map[string]map[string]string{
		"vmdk": {
			"as written by QEMU":          "# Disk DescriptorFile\n" + vmdkBody,
			"in small letters":            "# disk descriptorfile\n" + vmdkBody,
			"another header":              "#   Disk Descriptor File\n" + vmdkBody,
			"no header":                   vmdkBody,
			"no header, padded":           vmdkBody + pad,
			"a version alone":             "version=1\n",
			"in capitals":                 strings.ToUpper(vmdkBody),
			"spaces":                      "Version  =  3\n" + vmdkBody,
			"a comment first":             "# made by hand\n#\n" + vmdkBody,
			"a comment of any bytes":      "#\x00\xff\x01\x02\n" + vmdkBody,
			"a comment like UTF-16":       "#\x00a\x00b\x00c\x00d\n" + vmdkBody,
			"a comment with an end in it": "#\x00\x01\r\x02\n" + vmdkBody,
			"blank lines first":           "\n  \n\r\n" + vmdkBody,
			"lines of DOS":                strings.ReplaceAll("# x\n"+vmdkBody, "\n", "\r\n"),
			"lines of old Macs":           strings.ReplaceAll("# x\n"+vmdkBody, "\n", "\r"),
			"byte order mark":             bom + vmdkBody,
			"mark and comment":            bom + "# x\n" + vmdkBody,
			"UTF-16":                      "\xff\xfe" + string(utf16Of(vmdkBody, binary.LittleEndian)),
			"UTF-16, no mark":             string(utf16Of(vmdkBody, binary.BigEndian)),
			"extent first":                "RW 8 FLAT \"/etc/passwd\" 0\n" + vmdkBody,
			"extent alone":                "rdonly 8 FLAT \"/etc/passwd\" 0\n",
			"encoding first":              "encoding=\"GBK\"\nparentFileNameHint=\"/\xd6\xd0\"\n" + vmdkBody,
			"data base alone":             "ddb.adapterType = \"ide\"\n",
			"a far line":                  strings.Repeat("x = y\n", 5000) + vmdkBody,
		},
		"html": {
			"plain":                   "<html>",
			"capitals":                "<HTML><BODY>no</BODY>",
			"doctype":                 "<!DOCTYPE html><title>x</title>",
			"doctype, small":          "<!doctype html>",
			"doctype, old":            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">",
			"space first":             "\r\n\t <!DocType HtMl>",
			"much space first":        strings.Repeat(" \n", 2000) + "<html>",
			"byte order mark":         bom + "<html>",
			"mark and space":          bom + "\n <!DOCTYPE html>",
			"comment":                 "<!-- generated --><html>",
			"comment of any bytes":    "<!--\x00\xff--><html>",
			"head":                    "<head><title>x</title></head>",
			"body":                    "<body>no",
			"title":                   "<title>404 Not Found</title>",
			"XML declaration":         "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"x\"><html xmlns=\"x\">",
			"declaration in capitals": "<?XML VERSION=\"1.0\"?><HTML>",
			"two byte order marks":    bom + bom + "<html><p>no</p>",
			"UTF-16":                  "\xff\xfe" + string(utf16Of("<html><p>no</p>", binary.LittleEndian)),
			"UTF-16, big":             "\xfe\xff" + string(utf16Of("<!DOCTYPE html>", binary.BigEndian)),
			"UTF-16, no mark":         string(utf16Of("<html><p>no</p>", binary.LittleEndian)),
			"center":                  "<center><h1>502 Bad Gateway</h1></center>",
			"padded":                  "<html>" + pad,
		},
		"xml": {
			"S3":                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + s3Error,
			"S3, no declaration":  s3Error,
			"S3, byte order mark": bom + s3Error,
			"OVF":                 "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\"></Envelope>",
			"property list":       "<?xml version=\"1.0\"?><!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"x\"><plist>",
			"comment alone":       "<!-- nothing -->",
		},
		"text": {
			"one word":      "no",
			"JSON":          `{"error": {"code": 403, "message": "forbidden"}}`,
			"not found":     "404 page not found\n",
			"sums":          strings.Repeat("d41d8cd98f00b204e9800998ecf8427e  disk.img\n", 9),
			"umlauts":       "Größe überschritten, bitte später noch einmal versuchen\n",
			"8 bits":        strings.Repeat("Gr\xf6\xdfe \xfcberschritten\n", 40),
			"8 bits, short": "Gr\xf6\xdfe \xfcberschritten, sp\xe4ter noch einmal\n",
			"then bytes":    "zsync: 0.6.2\nFilename: disk.img\nMTime: now\n\n\x00\x01\x02",
			"torrent":       "d8:announce35:udp://tracker.example.org:6969/announce13:x\x00\xff",
			"UTF-16":        "\xff\xfe" + string(utf16Of("Kein Zugriff", binary.LittleEndian)),
			"colours":       "\x1b[31mno\x1b[0m\n",
			"padded":        "not found\n" + strings.Repeat("\x00", 100),
			"ini":           "[image]\nurl = https://images.example.org/disk.img\n",
		},
		"script": {"shell": "#!/bin/sh\nexit 1\n", "self-extracting": "#!/bin/sh\n\x1f\x8b\x08\x00"},
		"cloop":  {"header": "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0\n"},
	} {
		for name, text := range texts {
			list = append(list, sample{kind + ": " + name, []byte(text), kind})
		}
	}
	return list
}

// sector puts marks into a sector of zeros.
func sector(marks map[int]string) []byte {
	b := make([]byte, 4096)
	for at, m := range marks {
		copy(b[at:], m)
	}
	return b
}

// diskSamples are disks, by how they begin.
func diskSamples() []sample {
	random := make([]byte, 3*headSize)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(random)
	boot := "\xfa\xb8\x00\x10\x8e\xd0\xbc\x00\xb0\xb8\x00\x00\x8e\xd8\x8e\xc0\xfb\xbe\x00\x7c\xbf\x00\x06\xb9\x00\x02\xf3\xa4\xea\x21\x06\x00\x00"
	list := []sample{
		{"zeros", make([]byte, 1<<20), ""},
		{"a few zeros", make([]byte, 512), ""},
		{"filled with 0xff", bytes.Repeat([]byte{0xff}, 1<<17), ""},
		{"filled with 0x55", bytes.Repeat([]byte{0x55}, 1<<17), ""},
		{"filled with a pattern", bytes.Repeat([]byte("\xde\xad\xbe\xef"), 1<<15), ""},
		{"random", random, ""},
		{"MBR", sector(map[int]string{0: boot, 446: "\x80\x20\x21\x00\x83", 510: "\x55\xaa"}), ""},
		{"MBR without a loader", sector(map[int]string{446: "\x00\x02\x00\xee", 510: "\x55\xaa"}), ""},
		{"GPT", sector(map[int]string{450: "\xee\xff\xff\xff", 510: "\x55\xaa", 512: "EFI PART\x00\x00\x01\x00"}), ""},
		{"FAT", sector(map[int]string{0: "\xeb\x3c\x90mkfs.fat\x00\x02\x04", 54: "FAT16   ", 510: "\x55\xaa"}), ""},
		{"FAT with a message", sector(map[int]string{0: "\xeb\x58\x90", 90: "This is not a bootable disk. Please insert a floppy\r\n", 510: "\x55\xaa"}), ""},
		{"NTFS", sector(map[int]string{0: "\xeb\x52\x90NTFS    ", 510: "\x55\xaa"}), ""},
		{"XFS", sector(map[int]string{0: "XFSB\x00\x00\x10\x00", 32: "0123456789abcdef"}), ""},
		{"squashfs", sector(map[int]string{0: "hsqs\x07\x00\x00\x00"}), ""},
		{"LVM", sector(map[int]string{512: "LABELONE", 536: "LVM2 001"}), ""},
		{"swap", sector(map[int]string{4086: "SWAPSPACE2"}), ""},
		{"Apple partitions", sector(map[int]string{0: "ER\x02\x00", 512: "PM\x00\x00"}), ""},
		{"Sun's partitions", sector(map[int]string{0: "Linux cyl 1023 alt 2 hd 255 sec 63 of a disk\n", 508: "\xda\xbe\xbf\xb9"}), ""},
		{"Sun's partitions, broken", sector(map[int]string{0: "Linux cyl 1023 alt 2 hd 255 sec 63 of a disk\n", 508: "\xda\xbe\xbf\xba"}), "text"},
		{"a word on a large disk", append([]byte("DISK1"), make([]byte, headSize)...), ""},
		{"encrypted for Windows", sector(map[int]string{0: "\xeb\x58\x90-FVE-FS-"}), ""},
	}
	for i := range 200 { // random bytes are a disk wherever they begin
		list = append(list, sample{"random", random[i : i+headSize], ""})
	}
	return list
}

func vhdFooter() []byte {
	b := make([]byte, 512)
	copy(b, "conectix\x00\x00\x00\x02\x00\x01\x00\x00")
	return b
}

func dmgTrailer() []byte {
	b := make([]byte, 512)
	copy(b, "koly\x00\x00\x00\x04\x00\x00\x02\x00")
	return b
}

func tarOf(t testing.TB, format tar.Format) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "disk.img", Mode: 0o644, Size: 4, Format: format}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("disk")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// oldTar is one without the mark that POSIX gave it: only the sum tells.
func oldTar(t testing.TB) []byte {
	b := tarOf(t, tar.FormatUSTAR)
	copy(b[257:], make([]byte, 255))
	sum := 8 * int(' ')
	for i, c := range b[:512] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(b[148:], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	return b
}

// markedSamples are those with a mark, at the beginning or at the end.
func markedSamples(t testing.TB) []sample {
	list := []sample{
		{"VHD with a footer", append(make([]byte, 1<<20), vhdFooter()...), "vhd"},
		{"VHD with a footer of 511", append(make([]byte, 1<<20), vhdFooter()[:511]...), "vhd"},
		{"VHD, nothing but a footer", vhdFooter(), "vhd"},
		{"DMG", append(make([]byte, 1<<20), dmgTrailer()...), "dmg"},
		{"DMG with bytes behind", append(append(make([]byte, 1<<20), dmgTrailer()...), "12345"...), "dmg"},
		{"DMG, encrypted at the end", append(make([]byte, 1<<20), "cdsaencr"...), "dmg"},
		{"tar, ustar", tarOf(t, tar.FormatUSTAR), "tar"},
		{"tar, GNU", tarOf(t, tar.FormatGNU), "tar"},
		{"tar, old", oldTar(t), "tar"},
		{"VDI", sector(map[int]string{0: "<<< Oracle VM VirtualBox Disk Image >>>\n", 0x40: "\x7f\x10\xda\xbe"}), "vdi"},
		{"VDI without the words", sector(map[int]string{0x40: "\x7f\x10\xda\xbe"}), "vdi"},
		{"lzma of 64 KiB", sector(map[int]string{0: "\x5d\x00\x00\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x21"}), "lzma"},
		{"lzma of known size", sector(map[int]string{0: "\x5d\x00\x00\x80\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x21"}), "lzma"},
		{"lzma of 12 MiB", sector(map[int]string{0: "\x5d\x00\x00\xc0\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x21"}), "lzma"},
		{"compress", sector(map[int]string{0: "\x1f\x9d\x90\x68\xca\xb0"}), "compress"},
		{"pack", sector(map[int]string{0: "\x1f\x1e\x00\x00\x10\x00\x05\x00\x00\x01"}), "pack"},
		{"cpio, binary", sector(map[int]string{0: "\xc7\x71", 20: "\x02\x00", 26: "a\x00"}), "cpio"},
		{"cpio, big", sector(map[int]string{0: "\x71\xc7", 20: "\x00\x02", 26: "a\x00"}), "cpio"},
		{"PE", sector(map[int]string{0: "MZ", 0x3c: "\x80\x00\x00\x00", 0x80: "PE\x00\x00"}), "pe"},
		{"zfs, big", sector(map[int]string{8: "\x00\x00\x00\x02\xf5\xba\xcb\xac"}), "zfs stream"},
		{"zfs, little", sector(map[int]string{8: "\xac\xcb\xba\xf5\x02\x00\x00\x00"}), "zfs stream"},
		{"lha", sector(map[int]string{0: "\x20\x00-lh5-"}), "lha"},
	}
	for i := range 16 {
		list = append(list, sample{"zstd, a frame to skip", sector(map[int]string{0: string(rune(0x50+i)) + "\x2a\x4d\x18\x04\x00\x00\x00"}), "zstd"})
	}
	for v := 0x1e; v <= 0x28; v++ {
		list = append(list, sample{"zstd", sector(map[int]string{0: string(rune(v)) + "\xb5\x2f\xfd"}), "zstd"})
	}
	for kind, marks := range map[string][]string{
		"vmdk": {"KDMV\x01\x00\x00\x00", "COWD\x01\x00\x00\x00", "\xbe\xba\xfe\xca\x00\x00\x00\x00"}, "vhd": {"conectix"}, "vhdx": {"vhdxfile"},
		"qed": {"QED\x00"}, "parallels": {"WithoutFreeSpace\x02", "WithouFreSpacExt\x02"}, "bochs": {"Bochs Virtual HD Image\x00"}, "cow": {"OOOM\x00\x00\x00\x03", "MOOO\x02\x00\x00\x00"},
		"dmg": {"koly\x00\x00\x00\x04", "encrcdsa\x00"}, "cd image": {"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x02\x00\x01"}, "sparseimage": {"sprs\x00\x00\x00\x03"}, "android sparse image": {"\x3a\xff\x26\xed\x01\x00"},
		"luks": {"LUKS\xba\xbe\x00\x01aes\x00", "LUKS\xba\xbe\x00\x02"}, "openssl": {"Salted__\x01"},
		"gzip": {"\x1f\x8b\x08\x00"}, "xz": {"\xfd7zXZ\x00\x00\x04"}, "zstd": {"\x37\xa4\x30\xec"}, "lz4": {"\x04\x22\x4d\x18\x64", "\x02\x21\x4c\x18"},
		"bzip2": {"BZh9\x31\x41\x59\x26\x53\x59", "BZh1\x17\x72\x45\x38\x50\x90"}, "lzip": {"LZIP\x01\x0c"}, "lzop": {"\x89LZO\x00\r\n\x1a\n\x10"},
		"lrzip": {"LRZI\x00\x06"}, "snappy": {"\xff\x06\x00\x00sNaPpY"}, "lzfse": {"bvx2\x00", "bvx-\x00"},
		"zip": {"PK\x03\x04\x14\x00", "PK\x05\x06\x00", "PK\x07\x08\x00", "PK00PK\x03\x04"}, "7z": {"7z\xbc\xaf\x27\x1c\x00\x04"}, "rar": {"Rar!\x1a\x07\x00\xcf", "Rar!\x1a\x07\x01\x00", "RE~^\x01"},
		"cpio": {"070701000", "070702000", "070707000"}, "ar": {"!<arch>\ndebian-binary", "!<thin>\n"}, "rpm": {"\xed\xab\xee\xdb\x03"}, "cab": {"MSCF\x00\x00\x00\x00"}, "xar": {"xar!\x00\x1c"},
		"wim": {"MSWIM\x00\x00\x00", "WLPWM\x00\x00\x00"}, "rbd export": {"rbd image v2\n", "rbd diff v1\n"}, "btrfs stream": {"btrfs-stream\x00\x01"}, "partclone": {"partclone-image\x00"},
		"partimage": {"PaRtImAgE-VoLuMe\x00"}, "ntfsclone": {"\x00ntfsclone-image"}, "ewf": {"EVF\x09\x0d\x0a\xff\x00", "EVF2\x0d\x0a\x81\x00"}, "aff": {"AFF10\r\n\x00"},
		"office document": {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}, "jpeg": {"\xff\xd8\xff\xe0\x00\x10JFIF"}, "gif": {"GIF89a\x01\x00"},
		"mp4": {"\x00\x00\x00\x20ftypisom"}, "matroska": {"\x1a\x45\xdf\xa3\x01"}, "riff": {"RIFF\x24\x00\x00\x00WAVEfmt "},
		"elf": {"\x7fELF\x02\x01"}, "pdf": {"%PDF-1.7\n"}, "png": {"\x89PNG\r\n\x1a\n"}, "sqlite": {"SQLite format 3\x00"},
	} {
		for _, m := range marks {
			list = append(list, sample{kind, sector(map[int]string{0: m}), kind})
		}
	}
	return list
}
