package qrtext

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ocellus/ocellus/internal/secret"
)

// parseWiFi reads what stands after "WIFI:". Writers disagree: ZXing's dialect escapes with a backslash and takes the
// fields in any order; the WPA3 URI has percent signs instead, and its own fields R, I and K.
func parseWiFi(text string) ([]Network, error) {
	fields, escaped, err := splitWiFi(text)
	if err != nil {
		return nil, err
	}
	n := Network{SSID: unquote(fields["S"]), Password: secret.Secret(unquote(fields["P"])), PasswordID: fields["I"]}
	n.Hidden = strings.EqualFold(fields["H"], "true")
	if n.Security, err = security(fields); err != nil {
		return nil, err
	}
	decoded, changed := n.percent()
	switch {
	case hasAny(fields, "R", "I", "K"): // the URI, where percent signs must be decoded
		return checked(decoded)
	case changed && !escaped:
		if both, err := checked(n, decoded); err == nil {
			return both, nil
		}
	}
	return checked(n)
}

// splitWiFi cuts the fields at semicolons that no backslash protects. escaped says that there was a backslash.
func splitWiFi(text string) (fields map[string]string, escaped bool, err error) {
	fields = map[string]string{}
	var name string
	var value []byte
	named := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			value, escaped = append(value, text[i]), true
		case c == ':' && !named:
			name, value, named = strings.ToUpper(string(value)), value[:0], true
		case c == ';' && named:
			if _, twice := fields[name]; twice {
				return nil, false, fmt.Errorf("%w: a field twice", ErrDamaged)
			}
			fields[name], value, named = string(value), value[:0], false
		case c == ';': // the end has one more
		default:
			value = append(value, c)
		}
	}
	if named { // some writers leave out the last semicolon
		fields[name] = string(value)
	}
	return fields, escaped, nil
}

// security reads T and R.
func security(fields map[string]string) (Security, error) {
	switch t := strings.ToUpper(fields["T"]); {
	case t == "WEP":
		return "", fmt.Errorf("%w: WEP protects nothing", ErrRefused)
	case strings.Contains(t, "EAP") || hasAny(fields, "E", "A", "PH2"):
		return "", fmt.Errorf("%w: a network that asks for a user and a certificate", ErrRefused)
	case t == "NOPASS" || t == "" && fields["P"] == "":
		return Open, nil
	case t == "SAE" || t == "WPA3" || hasAny(fields, "K") || onlySAE(fields["R"]):
		return SAE, nil
	case t == "" || t == "WPA" || t == "WPA2" || t == "WPA/WPA2":
		return WPA, nil
	}
	return "", fmt.Errorf("%w: unknown type of network", ErrRefused)
}

// onlySAE reads the transition disable bitmap: bit 0 says that the network is done with WPA2.
func onlySAE(bitmap string) bool {
	return isHex(bitmap) && strings.Contains("13579bdfBDF", bitmap[len(bitmap)-1:])
}

func hasAny(fields map[string]string, names ...string) bool {
	for _, n := range names {
		if fields[n] != "" {
			return true
		}
	}
	return false
}

// unquote takes off the quotes that ZXing's dialect puts around a value that could be taken for hexadecimal digits.
// Quotes around anything else belong to the value.
func unquote(s string) string {
	if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' && isHex(s[1:len(s)-1]) {
		return s[1 : len(s)-1]
	}
	return s
}

// percent returns the network with %41 read as A, and whether that makes a difference. Where a percent sign is no such
// code, nothing is one.
func (n Network) percent() (Network, bool) {
	ssid, ok1 := percent(n.SSID)
	password, ok2 := percent(n.Password.Reveal())
	id, ok3 := percent(n.PasswordID)
	if !ok1 || !ok2 || !ok3 {
		return n, false
	}
	d := n
	d.SSID, d.Password, d.PasswordID = ssid, secret.Secret(password), id
	return d, d != n
}

func percent(s string) (string, bool) {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1:i+3]) {
			return s, false
		}
		out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
		i += 2
	}
	return string(out), true
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// checked returns the networks if all are good.
func checked(networks ...Network) ([]Network, error) {
	for i := range networks {
		if networks[i].Security == Open {
			networks[i].Password = ""
		}
		if err := networks[i].Check(); err != nil {
			return nil, err
		}
	}
	return networks, nil
}

// parseTuya reads Tuya's JSON object: s the network's name, p its password. The cloud's token t means nothing here.
func parseTuya(text string) ([]Network, error) {
	var v struct{ S, P string }
	if !utf8.ValidString(text) { // the decoder would change such a name, and nobody would find it
		return nil, fmt.Errorf("%w: not UTF-8", ErrDamaged)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("%w: no JSON object of texts", ErrDamaged) // the decoder's error may quote the text
	}
	return checked(guessed(v.S, v.P))
}

// parseOpenIPC reads "wlanssid=NAME wlanpass=PASSWORD". The name may hold blanks.
func parseOpenIPC(text string) ([]Network, error) {
	const name, password = "wlanssid=", "wlanpass="
	if rest, ok := strings.CutPrefix(text, password); ok { // the other way round
		p, s, found := strings.Cut(rest, " "+name)
		if !found {
			return nil, fmt.Errorf("%w: no wlanssid", ErrDamaged)
		}
		return checked(guessed(s, p))
	}
	s, p := strings.ReplaceAll(strings.TrimRight(text[len(name):], "\r\n"), "\n"+password, " "+password), ""
	if i := strings.LastIndex(s, " "+password); i >= 0 {
		s, p = s[:i], s[i+1+len(password):]
	}
	return checked(guessed(s, p))
}

// guessed is a network of a format that does not name its security.
func guessed(ssid, password string) Network {
	n := Network{SSID: ssid, Password: secret.Secret(password), Security: WPA}
	if password == "" {
		n.Security = Open
	}
	return n
}
