package secret

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// minText is how long a secret is at the least to be looked for: shorter ones stand in any
// text, and to hide them there would tell more than it hides.
const minText = 4 // bytes

// maxTexts bounds what is looked for of one input.
const maxTexts = 1000

// Texts hides the secrets of one input in what its script says. A nil one hides nothing.
type Texts struct{ replacer *strings.Replacer }

// NewTexts is of the values that were sealed in an input: texts, also within objects and
// arrays, as they are and as JSON writes them, and numbers.
func NewTexts(values [][]byte) *Texts {
	var all []string
	for _, v := range values {
		isHolder := func(_ []string, from int) bool { return v[from] == '{' || v[from] == '[' }
		task.WalkJSON(v, isHolder, func(p task.JSONPart) {
			if len(all) < maxTexts {
				all = append(all, textsOf(v[p.From:p.To])...)
			}
		})
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < minText })
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // of two that begin alike the longer goes first
	pairs := make([]string, 0, 2*len(all))
	for _, s := range all {
		pairs = append(pairs, s, hidden)
	}
	return &Texts{strings.NewReplacer(pairs...)}
}

// textsOf are the ways to write a value that holds no others.
func textsOf(value []byte) []string {
	var text string
	if json.Unmarshal(value, &text) == nil && value[0] == '"' {
		quoted, _ := json.Marshal(text) // a string never fails
		return []string{text, string(quoted[1 : len(quoted)-1]), string(value[1 : len(value)-1])}
	}
	if c := value[0]; c == '-' || c >= '0' && c <= '9' {
		return []string{string(value)}
	}
	return nil
}

const hidden = "***"

// Hide is a text with each of them replaced.
func (t *Texts) Hide(text string) string {
	if t == nil {
		return text
	}
	return t.replacer.Replace(text)
}
