package redact

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// shortSpelling is what a spelling has at least, in bytes: less is met by chance.
const shortSpelling = 6

// spellings are the ways in which a value comes into a text: as it is, as the verbs of fmt and the packages of encoding
// write it, in the middle of something longer too.
func spellings(value string) []string {
	b := []byte(value)
	lower := hex.EncodeToString(b)
	quoted, ascii := strconv.Quote(value), strconv.QuoteToASCII(value)
	raw, _ := json.Marshal(value) // a string always can
	list := []string{
		lower, strings.ToUpper(lower), pairs(lower, ":"), pairs(lower, " "), pairs(strings.ToUpper(lower), ":"),
		strings.Trim(fmt.Sprint(b), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ","),
		quoted[1 : len(quoted)-1], ascii[1 : len(ascii)-1], string(raw[1 : len(raw)-1]),
		url.QueryEscape(value), url.PathEscape(value), escaped(value),
	}
	crockford := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
	list = append(list, shifted(base64.StdEncoding.WithPadding(base64.NoPadding), b, 3, 4)...)
	list = append(list, shifted(base64.URLEncoding.WithPadding(base64.NoPadding), b, 3, 4)...)
	for _, e := range []*base32.Encoding{base32.StdEncoding, crockford} {
		for _, s := range shifted(e.WithPadding(base32.NoPadding), b, 5, 8) {
			list = append(list, s, strings.ToLower(s))
		}
	}
	good := []string{value}
	for _, s := range list {
		if len(s) >= shortSpelling {
			good = append(good, s)
		}
	}
	return good
}

// shifted encodes b as it looks behind 0, 1 ... other bytes of a group, without the characters that it shares with its
// neighbours.
func shifted(e interface{ EncodeToString(b []byte) string }, b []byte, group, chars int) []string {
	var all []string
	for before := range group {
		text := e.EncodeToString(append(make([]byte, before), b...))
		from, to := (before*chars+group-1)/group, (before+len(b))*chars/group
		if from < to {
			all = append(all, text[from:to])
		}
	}
	return all
}

func pairs(digits, between string) string {
	var list []string
	for i := 0; i+2 <= len(digits); i += 2 {
		list = append(list, digits[i:i+2])
	}
	return strings.Join(list, between)
}

// escaped is every byte as a program writes it that trusts no SSID: \x47\x72, wpa_supplicant's own for what is not
// ASCII.
func escaped(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
