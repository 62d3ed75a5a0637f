package cjson

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Parse reads one value that is all of data. Every error is ErrSyntax and says at which byte.
func Parse(data []byte) (Value, error) {
	p := parser{text: string(data)}
	if !utf8.ValidString(p.text) {
		return Value{}, fmt.Errorf("%w: not UTF-8", ErrSyntax)
	}
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	p.space()
	if p.at < len(p.text) {
		return Value{}, p.fault("more than one value")
	}
	return v, nil
}

type parser struct {
	text   string
	at     int // the next byte
	values int // how many were begun
}

func (p *parser) fault(what string) error {
	return fmt.Errorf("%w: byte %d: %s", ErrSyntax, p.at, what)
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take steps over one byte if it is the next one after white space.
func (p *parser) take(c byte) bool {
	p.space()
	if p.at == len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

// value reads a value that lies in depth arrays and objects.
func (p *parser) value(depth int) (Value, error) {
	p.values++
	if depth > MaxDepth {
		return Value{}, p.fault("too deep")
	}
	if p.values > MaxValues {
		return Value{}, p.fault("too many values")
	}
	switch {
	case p.take('{'):
		return p.object(depth)
	case p.take('['):
		return p.array(depth)
	case p.take('"'):
		text, err := p.str()
		return Value{kind: String, text: text}, err
	}
	switch rest := p.text[p.at:]; {
	case strings.HasPrefix(rest, "null"):
		return p.word(Null, "null")
	case strings.HasPrefix(rest, "true"):
		return p.word(Bool, "true")
	case strings.HasPrefix(rest, "false"):
		return p.word(Bool, "false")
	}
	return p.number()
}

func (p *parser) word(kind Kind, word string) (Value, error) {
	p.at += len(word)
	return Value{kind: kind, text: word}, nil
}

func (p *parser) array(depth int) (Value, error) {
	v := Value{kind: Array}
	if p.take(']') {
		return v, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		v.list = append(v.list, item)
		if p.take(']') {
			return v, nil
		}
		if !p.take(',') {
			return Value{}, p.fault("want , or ]")
		}
	}
}

func (p *parser) object(depth int) (Value, error) {
	if p.take('}') {
		return Value{kind: Object}, nil
	}
	var members []member
	for {
		m, err := p.member(depth)
		if err != nil {
			return Value{}, err
		}
		members = append(members, m)
		if p.take('}') {
			return p.sorted(members)
		}
		if !p.take(',') {
			return Value{}, p.fault("want , or }")
		}
	}
}

type member struct {
	name  string
	value Value
}

func (p *parser) member(depth int) (member, error) {
	if !p.take('"') {
		return member{}, p.fault("want a name")
	}
	name, err := p.str()
	if err != nil {
		return member{}, err
	}
	if !p.take(':') {
		return member{}, p.fault("want :")
	}
	v, err := p.value(depth + 1)
	return member{name, v}, err
}

// sorted makes an object of its members.
func (p *parser) sorted(members []member) (Value, error) {
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	v := Value{kind: Object, names: make([]string, len(members)), list: make([]Value, len(members))}
	for i, m := range members {
		if i > 0 && m.name == members[i-1].name {
			return Value{}, p.fault("two members of one name")
		}
		v.names[i], v.list[i] = m.name, m.value
	}
	return v, nil
}

// number reads a whole number. JSON has one way to write each, but for minus zero.
func (p *parser) number() (Value, error) {
	end := p.at
	for end < len(p.text) && strings.IndexByte("+-.0123456789Ee", p.text[end]) >= 0 {
		end++
	}
	text := p.text[p.at:end]
	if n, _ := strconv.ParseInt(text, 10, 64); strconv.FormatInt(n, 10) != text {
		return Value{}, p.fault("want a value; numbers are whole and fit 64 bits")
	}
	p.at = end
	return Value{kind: Int, text: text}, nil
}

// str reads a string whose first quote was taken.
func (p *parser) str() (string, error) {
	begin := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[begin : p.at-1], nil
		case c == '\\':
			return p.escaped(begin)
		case c < 0x20:
			return "", p.fault("control character in a string")
		}
		p.at++
	}
	return "", p.fault("a string without an end")
}

// escaped goes on with a string that began at a byte, and whose next byte is its first backslash.
func (p *parser) escaped(begin int) (string, error) {
	b := []byte(p.text[begin:p.at])
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(b), nil
		case c < 0x20:
			return "", p.fault("control character in a string")
		case c != '\\':
			b = append(b, c)
			continue
		}
		r, err := p.escape()
		if err != nil {
			return "", err
		}
		b = utf8.AppendRune(b, r)
	}
	return "", p.fault("a string without an end")
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, error) {
	const short, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if p.at == len(p.text) {
		return 0, p.fault("a string without an end")
	}
	if i := strings.IndexByte(short, p.text[p.at]); i >= 0 {
		p.at++
		return rune(means[i]), nil
	}
	first, err := p.unit()
	if !utf16.IsSurrogate(first) {
		return first, err
	}
	if p.at == len(p.text) || p.text[p.at] != '\\' {
		return 0, p.fault("half a surrogate pair")
	}
	p.at++
	second, _ := p.unit() // 0, which is no half, where there is none
	r := utf16.DecodeRune(first, second)
	if r == utf8.RuneError {
		return 0, p.fault("half a surrogate pair")
	}
	return r, nil
}

// unit reads uXXXX.
func (p *parser) unit() (rune, error) {
	const length = len("uXXXX")
	if len(p.text)-p.at < length || p.text[p.at] != 'u' {
		return 0, p.fault("unknown escape")
	}
	n, err := strconv.ParseUint(p.text[p.at+1:p.at+length], 16, 16)
	if err != nil {
		return 0, p.fault("unknown escape")
	}
	p.at += length
	return rune(n), nil
}
