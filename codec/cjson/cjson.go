// Package cjson reads the JSON of signed metadata, and writes it in the one form over which signatures are made:
// canonical JSON as TUF 1.0 names it (https://wiki.laptop.org/go/Canonical_JSON): no white space, names sorted by their
// bytes, strings that escape only the quote and the backslash, whole numbers alone.
//
// What is signed must mean one thing to everybody who reads it, so Parse is stricter than RFC 8259 where that leaves a
// choice: two members of one name, text that is not UTF-8, half a surrogate pair, numbers that are not whole or don't
// fit 64 bits, minus zero, and anything behind the value are refused. Depth and count of values are bounded; the caller
// bounds the bytes.
package cjson

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what Parse reads.
const (
	MaxDepth  = 32      // arrays and objects inside one another
	MaxValues = 1 << 16 // values in all
)

// ErrSyntax: the text is not the JSON that this package reads.
var ErrSyntax = errors.New("json syntax")

// Kind is what a value is.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Bool
	Int
	String
	Array
	Object
)

// Value is one JSON value. The zero value is null.
type Value struct {
	kind  Kind
	text  string   // of a string; of a number, in digits; "true" or "false"
	names []string // of an object, sorted by their bytes
	list  []Value  // of an array; of an object, in the order of its names
}

// Kind returns what the value is.
func (v Value) Kind() Kind { return v.kind }

// Member returns the member of an object that has a name; not ok where there is none, or where v is no object.
func (v Value) Member(name string) (member Value, ok bool) {
	if i, found := slices.BinarySearch(v.names, name); found {
		return v.list[i], true
	}
	return Value{}, false
}

// Names returns the names of an object's members, sorted by their bytes.
func (v Value) Names() []string { return v.names }

// Items returns what is in an array.
func (v Value) Items() []Value {
	if v.kind != Array {
		return nil
	}
	return v.list
}

// Text returns the text of a string; not ok where v is something else.
func (v Value) Text() (text string, ok bool) {
	if v.kind != String {
		return "", false
	}
	return v.text, true
}

// Int returns a number; not ok where v is something else.
func (v Value) Int() (n int64, ok bool) {
	if v.kind != Int {
		return 0, false
	}
	n, _ = strconv.ParseInt(v.text, 10, 64) // Parse has seen to it
	return n, true
}

// Bool returns true or false; not ok where v is something else.
func (v Value) Bool() (is, ok bool) { return v.text == "true", v.kind == Bool }

// AppendCanonical appends the canonical form to b.
func (v Value) AppendCanonical(b []byte) []byte {
	switch v.kind {
	case Null:
		return append(b, "null"...)
	case String:
		return appendString(b, v.text)
	case Array:
		b = append(b, '[')
		for i, item := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.AppendCanonical(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, name := range v.names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, name), ':')
			b = v.list[i].AppendCanonical(b)
		}
		return append(b, '}')
	}
	return append(b, v.text...)
}

// appendString escapes the quote and the backslash, and leaves every other byte as it is.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		i := strings.IndexAny(s, `"\`)
		if i < 0 {
			b = append(b, s...)
			break
		}
		b = append(b, s[:i]...)
		b = append(b, '\\', s[i])
		s = s[i+1:]
	}
	return append(b, '"')
}
