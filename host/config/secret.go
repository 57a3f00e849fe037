package config

import (
	"encoding/json"
	"regexp"
	"strings"
)

const secret = "(secret)"

var (
	secretKey = regexp.MustCompile(`(?i)(token|secret|passw|passphrase|credential|private|api_?key|seed)`)
	// userinfo of a URL, up to its last @: a password may hold a slash that
	// somebody forgot to escape. Masking too much does no harm.
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s,"]*@`)
	// secrets in a URL's query
	query = regexp.MustCompile(`(?i)([?&][^=&\s"]*(?:token|secret|passw|key)[^=&\s"]*=)[^&\s"]+`)
)

// mask hides what nobody should read over an operator's shoulder. A value that is
// JSON is masked inside.
func mask(key, value string) string {
	if secretKey.MatchString(key[strings.LastIndex(key, ".")+1:]) {
		return secret
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
	s = userinfo.ReplaceAllString(s, "${1}"+secret+"@")
	return query.ReplaceAllString(s, "${1}"+secret)
}

func maskedJSON(doc any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(maskJSON(doc)) != nil {
		return secret
	}
	return strings.TrimSpace(b.String())
}

func maskJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if secretKey.MatchString(k) {
				v[k] = secret
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
