package config

// Error is all that is wrong with a file, each with line and snippet.
type Error struct {
	text string
	// Places are where the faults are, in order.
	Places []Place
}

// Place is one fault.
type Place struct {
	Line, Column int
	Summary      string
	Detail       string
}

func (e *Error) Error() string { return e.text }
