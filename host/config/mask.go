package config

import (
	"encoding/json"
	"regexp"
	"strings"
)

const maskedText = "(secret)"

var (
	secretKeys = regexp.MustCompile(`(?i)(token|secret|passw|passphrase|credential|private|api_?key|seed)`)
	// urlUserinfo of a URL, up to its last @: a password may hold a slash that
	// somebody forgot to escape. Masking too much does no harm.
	urlUserinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s,"]*@`)
	// secrets in a URL's query
	urlSecrets = regexp.MustCompile(`(?i)([?&][^=&\s"]*(?:token|secret|passw|key)[^=&\s"]*=)[^&\s"]+`)
)

// mask hides what nobody should read over an operator's shoulder. A value that is
// JSON is masked inside.
func mask(key, value string) string {
	if secretKeys.MatchString(key[strings.LastIndex(key, ".")+1:]) {
		return maskedText
	}
	if strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
		var doc any
		dec := json.NewDecoder(strings.NewReader(value))
		dec.UseNumber()
		if dec.Decode(&doc) == nil {
			return maskedJSON(doc)
		}
	}
	return maskText(value)
}

func maskText(s string) string {
	s = urlUserinfo.ReplaceAllString(s, "${1}"+maskedText+"@")
	return urlSecrets.ReplaceAllString(s, "${1}"+maskedText)
}

func maskedJSON(doc any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(maskJSON(doc)) != nil {
		return maskedText
	}
	return strings.TrimSpace(b.String())
}

func maskJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if secretKeys.MatchString(k) {
				v[k] = maskedText
			} else {
				v[k] = maskJSON(e)
			}
		}
	case []any:
		for i, e := range v {
			v[i] = maskJSON(e)
		}
	case string:
		return maskText(v)
	}
	return v
}
