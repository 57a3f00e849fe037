package main

import (
	"os"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colors says whether what is written to w may be colored.
func colors(w any) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }

// usualWidth is how wide a terminal is taken to be that does not say.
const usualWidth = 80

// terminalWidth is how many columns the terminal has that w is; 0 if it is none.
func terminalWidth(w any) int {
	if !isTerminal(w) {
		return 0
	}
	columns, _, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil || columns <= 0 {
		return usualWidth
	}
	return columns
}

// textWidth is how many columns s takes on a terminal.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if r < 0x80 {
		return 1
	}
	if unicode.Is(unicode.Mn, r) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// prefixOfWidth is how many bytes of s take at most that many columns: those of one rune
// at the least.
func prefixOfWidth(s string, columns int) int {
	for i, r := range s {
		if columns -= runeWidth(r); columns < 0 && i > 0 {
			return i
		}
	}
	return len(s)
}

// clip is s in at most that many columns, with a mark where something is left out.
func clip(s string, columns int) string {
	if textWidth(s) <= columns {
		return s
	}
	return s[:prefixOfWidth(s, max(columns-1, 1))] + "…"
}
