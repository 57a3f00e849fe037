package api

import "strings"

// Pointer is the JSON pointer (RFC 6901) of what path leads to. Nothing else in the
// project writes pointers.
func Pointer(path []string) string {
	var b strings.Builder
	for _, part := range path {
		b.WriteByte('/')
		b.WriteString(escape(part))
	}
	return b.String()
}

// escape escapes one reference token of a pointer.
func escape(part string) string {
	if !strings.ContainsAny(part, "~/") { // a Replacer is dear to make, and hardly ever needed
		return part
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
}

// path is what Pointer was made of. It takes what is no pointer for one part.
func path(pointer string) []string {
	rest, ok := strings.CutPrefix(pointer, "/")
	if !ok {
		if pointer == "" {
			return nil
		}
		return []string{pointer}
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		if strings.Contains(part, "~") {
			parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		}
	}
	return parts
}
