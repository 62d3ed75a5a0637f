package redact

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/ocellus/ocellus/internal/secret"
)

// names are of fields that hold what has to be hidden, whole or as the last word of a longer name: wifi_password.
const names = `ssid|bssid|mac|psk|passphrase|password|passwd|token|secret|serial|label|fingerprint|credentials?|` +
	`authorization|cookie|username|nonce|private_key|setup_secret|apikey|api_key`

var (
	secretName = regexp.MustCompile(`(?i)^(.*[._-])?(` + names + `)$`)

	// assigned is a name with its value: password=x, "ssid": "x y", psk='x'.
	assigned = regexp.MustCompile(`(?i)((?:^|[^0-9a-z])(?:` + names +
		`)\\?["']?\s*[:=]\s*)(\\"[^"\n]*?\\"|"(?:[^"\\\n]|\\[^\n])*"|'[^'\n]*'|(?:[^\s"'\\,;&)}\]]|\\[^"'\s])+)`)

	userinfo = regexp.MustCompile(`//[^/@\s"<>]+@`)                                             // RFC 3986 3.2.1
	hardware = regexp.MustCompile(`(?i)\b[0-9a-f]{2}([:-])[0-9a-f]{2}(?:[:-][0-9a-f]{2}){4}\b`) // EUI-48
	eui64    = regexp.MustCompile(`(?i)\b[0-9a-f]{1,4}:[0-9a-f]{0,2}ff:fe[0-9a-f]{2}:[0-9a-f]{1,4}\b`)
	labels   = regexp.MustCompile(`\b(OCELLUS:L\d+:|DPP:)[^\s"']+`)
	pem      = regexp.MustCompile(`(?s)-----BEGIN .*?(-----END [^-]*-----|$)`)
	scheme   = regexp.MustCompile(`(?i)\b(bearer|basic|digest)\s+[0-9a-z+/=._~-]{8,}`) // RFC 9110 11.4
	digits   = regexp.MustCompile(`(?i)[0-9a-f]{32,}`)
	run      = regexp.MustCompile(`[0-9A-Za-z+/_-]{40,}={0,2}`)
)

// shapeless takes out what looks like something to hide.
func shapeless(text string) string {
	if strings.Contains(text, "-----BEGIN ") {
		text = pem.ReplaceAllString(text, secret.Mask)
	}
	if strings.Contains(text, "//") {
		text = userinfo.ReplaceAllString(text, "//"+secret.Mask+"@")
	}
	text = labels.ReplaceAllString(text, secret.Mask)
	text = hardware.ReplaceAllString(text, secret.Mask)
	text = eui64.ReplaceAllString(text, secret.Mask)
	text = scheme.ReplaceAllString(text, "$1 "+secret.Mask)
	text = assigned.ReplaceAllStringFunc(text, hideAssigned)
	text = digits.ReplaceAllString(text, secret.Mask)
	return run.ReplaceAllStringFunc(text, hideRun)
}

// hideAssigned keeps the quotes of a value, so that JSON stays JSON; what JSON has no quotes for says nothing.
func hideAssigned(text string) string {
	m := assigned.FindStringSubmatch(text)
	name, value := m[1], m[2]
	for _, quote := range []string{`\"`, `"`, `'`} {
		if strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			return name + quote + secret.Mask + quote
		}
	}
	switch value {
	case "null", "true", "false", "{", "[", "map[", "[]", "{}", "0":
		return text
	}
	if strings.HasSuffix(strings.TrimRight(name, ": \t"), `"`) { // a number or a list in JSON
		return name + `"` + secret.Mask + `"`
	}
	return name + secret.Mask
}

// hideRun hides a run that is no word of a language: it has capitals, small letters, and digits or what else base64 has
// and a path has not.
func hideRun(text string) string {
	if strings.ContainsFunc(text, unicode.IsUpper) && strings.ContainsFunc(text, unicode.IsLower) &&
		strings.ContainsAny(text, "0123456789+=") {
		return secret.Mask
	}
	return text
}
