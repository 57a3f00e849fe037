package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/taskhost/taskhost/host/task"
)

const (
	maxFileBytes = 1 << 20 // bytes; far more than anybody writes by hand
	maxNesting   = 500     // brackets in brackets, or operators in one expression
)

// checkBounds looks for what the parser must not be given. It works by recursion, at
// some 15 KB of stack for each open bracket, and a stack that is full ends the
// process: no recover helps. So the tokens are counted first.
func checkBounds(name string, src []byte) *hcl.Diagnostic {
	if len(src) > maxFileBytes {
		return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "The file is too large",
			Detail: fmt.Sprintf("It has %d bytes; a config has %d at the most.", len(src), maxFileBytes)}
	}
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos) // its faults are the parser's to tell
	open, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenNumberLit: // computed with at any length: a million digits take seconds and gigabytes
			if err := task.BoundNumber(t.Bytes); err != nil {
				return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Not a number to compute with", Subject: t.Range.Ptr(),
					Detail: fmt.Sprintf("This is %v.", err)}
			}
		case hclsyntax.TokenOBrack, hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open++
		case hclsyntax.TokenCBrack, hclsyntax.TokenCBrace, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			open = max(0, open-1)
		case hclsyntax.TokenEqual, hclsyntax.TokenComma:
			operators = 0
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash,
			hclsyntax.TokenPercent, hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp,
			hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan,
			hclsyntax.TokenGreaterThanEq:
			operators++
		}
		if open > maxNesting || operators > maxNesting {
			return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Too deep", Subject: t.Range.Ptr(),
				Detail: fmt.Sprintf("More than %d brackets or operators are open here: is one not closed?", maxNesting)}
		}
	}
	return nil
}
