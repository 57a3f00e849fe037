package script

import (
	"bytes"
	"encoding/binary"
	"iter"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// No file system, boot loader or partition table begins with text, but Sun's. So what
// does is no disk, whatever it is: a server's excuse, a list of checksums, a descriptor
// that names other files.

const (
	// textRun is how many bytes of UTF-8 make a text. No boot sector begins with as
	// many, and random bytes have not a chance to.
	textRun = 32
	// textSpan is how far a text in an encoding of 8 bits is followed, of which any
	// byte may be a letter.
	textSpan = 512
	// markupSpan is how far markup is searched for what says that it is HTML.
	markupSpan = 4 << 10
)

// isText says whether a file begins with text in UTF-8, UTF-16 or an encoding of
// 8 bits, or is a shorter one throughout.
func isText(head []byte) bool {
	if len(head) > 0 && bytes.Count(head, head[:1]) == len(head) || isSunLabel(head) {
		return false // a disk may have been filled with one byte, as badblocks does
	}
	s := decodeText(head)
	if len(head) < headSize {
		s = strings.TrimRight(s, "\x00")
	}
	run := 0
	for run < len(s) && run < textRun {
		r, size := utf8.DecodeRuneInString(s[run:])
		if r == utf8.RuneError && size == 1 || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cf) &&
			!unicode.IsSpace(r) && r != '\x1b' {
			break
		}
		run += size
	}
	if run > 0 && (run >= textRun || run == len(s)) {
		return true
	}
	return isText8(s[:min(len(s), textSpan)])
}

// isSunLabel says whether a disk begins with Sun's partition table, which begins with a
// description in words. It has a mark and the exclusive or of its words is 0.
func isSunLabel(head []byte) bool {
	const size = 512
	if !hasAt(size-4, "\xda\xbe")(head) || len(head) < size {
		return false
	}
	sum := uint16(0)
	for i := 0; i < size; i += 2 {
		sum ^= binary.BigEndian.Uint16(head[i:])
	}
	return sum == 0
}

// isText8 wants lines, and more of ASCII than of the rest: a disk may have been
// filled with a pattern of bytes that are all letters somewhere.
func isText8(s string) bool {
	ascii, lines := 0, 0
	for _, c := range []byte(s) {
		switch {
		case c == '\n':
			lines++
			ascii++
		case c < ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\x1b', c == 0x7f:
			return false
		case c < utf8.RuneSelf:
			ascii++
		}
	}
	return len(s) >= textRun && lines > 0 && ascii > len(s)/2
}

// decodeText is head without its byte order mark, as UTF-8 if it is UTF-16.
func decodeText(head []byte) string {
	switch {
	case hasPrefix("\xef\xbb\xbf")(head):
		return string(head[3:])
	case hasPrefix("\xff\xfe")(head):
		return decodeUTF16(head[2:], binary.LittleEndian)
	case hasPrefix("\xfe\xff")(head):
		return decodeUTF16(head[2:], binary.BigEndian)
	}
	// Without a mark, ASCII in UTF-16 has a zero in each pair.
	const pairs = 4
	little, big := 0, 0
	for i := 0; i+1 < min(len(head), 2*pairs); i += 2 {
		if head[i] != 0 && head[i+1] == 0 {
			little++
		}
		if head[i] == 0 && head[i+1] != 0 {
			big++
		}
	}
	switch pairs {
	case little:
		return decodeUTF16(head, binary.LittleEndian)
	case big:
		return decodeUTF16(head, binary.BigEndian)
	default:
		return string(head)
	}
}

func decodeUTF16(b []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// isHTML says whether a file is markup of which a browser makes a page.
func isHTML(head []byte) bool {
	s, ok := markup(head)
	if !ok {
		return false
	}
	for _, tag := range []string{"<!doctype html", "<html", "<head", "<body", "<title", "<script", "<meta", "<h1", "<center", "<pre"} {
		if strings.Contains(s, tag) {
			return true
		}
	}
	return false
}

// isXML says whether a file is any other markup, such as an object store's error.
func isXML(head []byte) bool {
	_, ok := markup(head)
	return ok
}

// markup is how a file goes on behind space and marks without width, in lower case, and
// whether that is a declaration, a comment or a tag. One character behind the
// bracket is no proof by itself: then the file must be text as well.
func markup(head []byte) (string, bool) {
	s := strings.TrimLeftFunc(decodeText(head), func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
	s = strings.ToLower(s[:min(len(s), markupSpan)])
	for _, start := range []string{"<?xml", "<!doctype", "<!--", "<html", "<head", "<body"} {
		if strings.HasPrefix(s, start) {
			return s, true
		}
	}
	return s, len(s) > 1 && s[0] == '<' && (s[1] >= 'a' && s[1] <= 'z' || s[1] == '!' || s[1] == '?') && isText(head)
}

// isVMDKDescriptor says whether a file is the text that describes a disk of VMware's,
// whose extents are other files. QEMU skips comments, whatever bytes they are of, and
// blank lines, and takes what then has a version for one. Others are less strict; so
// is this: about case, space, the order of lines and how they end.
func isVMDKDescriptor(head []byte) bool {
	text := isText(head)
	for _, s := range []string{string(head), decodeText(head)} {
		if describesVMDK(strings.SplitSeq(s, "\n"), text) || describesVMDK(strings.SplitSeq(s, "\r"), text) {
			return true
		}
	}
	return false
}

// describesVMDK looks at the first line that is no comment, and in a text at all of them.
func describesVMDK(lines iter.Seq[string], text bool) bool {
	for line := range lines {
		line = strings.ToLower(strings.TrimSpace(line))
		comment, isComment := strings.CutPrefix(line, "#")
		switch {
		case isComment && strings.HasPrefix(strings.Join(strings.Fields(comment), ""), "diskdescriptorfile"), isVMDKLine(line):
			return true
		case line != "" && !isComment && !text:
			return false
		}
	}
	return false
}

// isVMDKLine says whether a line, in lower case, is an entry of a descriptor or an extent.
func isVMDKLine(line string) bool {
	if key, _, ok := strings.Cut(line, "="); ok {
		switch key = strings.TrimSpace(key); key {
		case "version", "cid", "parentcid", "createtype", "isnativesnapshot", "parentfilenamehint", "changetrackpath":
			return true
		default:
			return strings.HasPrefix(key, "ddb.")
		}
	}
	words := strings.Fields(line)
	if len(words) < 3 || words[0] != "rw" && words[0] != "rdonly" && words[0] != "noaccess" {
		return false
	}
	return strings.Trim(words[1], "0123456789") == ""
}
