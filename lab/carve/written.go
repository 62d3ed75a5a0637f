package carve

import (
	"bytes"
	"encoding/ascii85"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// pattern is a value as somebody may have written it.
type pattern struct {
	value, written string
	bytes          []byte
}

// shortest is what a pattern has at least: less is found by chance.
const shortest = 6

func patternsOf(values []Value) (all []pattern) {
	for _, v := range values {
		seen := map[string]bool{}
		for written, list := range spellings(v.Bytes) {
			for _, b := range list {
				if len(b) >= shortest && !seen[string(b)] {
					seen[string(b)] = true
					all = append(all, pattern{v.Name, written, b})
				}
			}
		}
	}
	return all
}

func longest(patterns []pattern) int {
	n := 128 // of a key, too
	for _, p := range patterns {
		n = max(n, len(p.bytes))
	}
	return n
}

// spellings are the ways to write bytes. MessagePack, CBOR, SQLite and their like have them raw.
func spellings(v []byte) map[string][][]byte {
	lower := hex.EncodeToString(v)
	all := map[string][][]byte{
		"raw bytes":   {v},
		"hexadecimal": {[]byte(lower), []byte(strings.ToUpper(lower)), []byte(colons(lower))},
		"base64":      append(shifted(base64.RawStdEncoding, v, 3, 4), shifted(base64.RawURLEncoding, v, 3, 4)...),
		"base32": append(shifted(base32.StdEncoding.WithPadding(base32.NoPadding), v, 5, 8),
			shifted(base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding), v, 5, 8)...),
		"ascii85": {ascii(v)},
		"byte by byte": {[]byte(fmt.Sprint(v)), []byte(strings.ReplaceAll(fmt.Sprint(v), " ", ",")),
			reversed(v)},
	}
	if utf8.Valid(v) {
		text := string(v)
		all["UTF-16"] = [][]byte{utf16Of(text, binary.LittleEndian), utf16Of(text, binary.BigEndian)}
		all["JSON"] = jsonOf(text)
		all["URL"] = [][]byte{[]byte(url.QueryEscape(text)), []byte(url.PathEscape(text))}
	}
	return all
}

// encoding is a base of some power of two.
type encoding interface{ EncodeToString(b []byte) string }

// shifted encodes v as it looks in the middle of something: behind 0, 1 ... bytes of a group, without the characters
// that belong to its neighbours, too.
func shifted(e encoding, v []byte, group, chars int) (all [][]byte) {
	for before := range group {
		text := e.EncodeToString(append(make([]byte, before), v...))
		from := (before*chars + group - 1) / group
		to := (before + len(v)) * chars / group
		if from < to {
			all = append(all, []byte(text[from:to]))
		}
	}
	return all
}

func colons(hexadecimal string) string {
	var pairs []string
	for i := 0; i+2 <= len(hexadecimal); i += 2 {
		pairs = append(pairs, hexadecimal[i:i+2])
	}
	return strings.Join(pairs, ":")
}

func ascii(v []byte) []byte {
	out := make([]byte, ascii85.MaxEncodedLen(len(v)))
	return out[:ascii85.Encode(out, v)]
}

func reversed(v []byte) []byte {
	out := bytes.Clone(v)
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func utf16Of(text string, order binary.AppendByteOrder) (out []byte) {
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return out
}

// jsonOf escapes as encoding/json does, as others do who escape all that is not ASCII, and as those who escape all.
func jsonOf(text string) [][]byte {
	usual, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string
	}
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err)
	}
	var ascii, all strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&all, `\u%04x`, unit)
		if unit < 0x80 && unit >= 0x20 && unit != '"' && unit != '\\' {
			ascii.WriteByte(byte(unit))
		} else {
			fmt.Fprintf(&ascii, `\u%04x`, unit)
		}
	}
	bare := bytes.TrimSuffix(plain.Bytes(), []byte("\n"))
	return [][]byte{usual[1 : len(usual)-1], bare[1 : len(bare)-1], []byte(ascii.String()), []byte(all.String())}
}
