// Package pack is how everything that is signed is written: a MessagePack map with small integers as keys, in one form
// and no other. Whoever signs bytes and whoever checks them must never argue about what they mean, so a message has
// exactly one encoding here, and Parse takes no other:
//
//   - keys are 0 to 127, each once, in ascending order;
//   - values are unsigned integers, booleans, UTF-8 texts, byte strings, lists of these, and maps of the same law; no
//     floats, no nil, no extensions, no negative numbers;
//   - every length and number has its shortest form (MessagePack specification, "Serialization: type to format
//     conversion");
//   - nothing stands behind the map.
//
// Bounds come first: the size of the whole, MaxDepth and MaxItems.
package pack

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of any message.
const (
	MaxDepth = 8    // maps and lists in one another
	MaxItems = 1024 // of one map or list
	MaxKey   = 127
)

// ErrMalformed: the bytes are no message of this form.
var ErrMalformed = errors.New("malformed message")

// Map is a message, or a part of one: fields in ascending order of their keys.
type Map []Field

// Field is one entry of a Map. Value is a uint64, bool, string, []byte, []any (of the same types) or Map.
type Field struct {
	Key   uint8
	Value any
}

// Numbered makes a message of these values as fields 1, 2, 3 ...
func Numbered(values ...any) Map {
	m := make(Map, len(values))
	for i, v := range values {
		m[i] = Field{Key: uint8(i + 1), Value: v}
	}
	return m
}

// Append writes the map behind b. Its fields are the program's own: a value of another type and a key out of order are
// broken invariants, and panic.
func (m Map) Append(b []byte) []byte {
	b = maps.put(b, uint64(len(m)))
	for i, f := range m {
		if f.Key > MaxKey || i > 0 && f.Key <= m[i-1].Key {
			panic(fmt.Sprintf("pack: key %d out of order", f.Key))
		}
		b = appendValue(numbers.put(b, uint64(f.Key)), f.Value)
	}
	return b
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case uint64:
		return numbers.put(b, v)
	case bool:
		if v {
			return append(b, isTrue)
		}
		return append(b, isFalse)
	case string:
		return append(texts.put(b, uint64(len(v))), v...)
	case []byte:
		return append(blobs.put(b, uint64(len(v))), v...)
	case []any:
		b = lists.put(b, uint64(len(v)))
		for _, item := range v {
			b = appendValue(b, item)
		}
		return b
	case Map:
		return v.Append(b)
	}
	panic(fmt.Sprintf("pack: a value of type %T", v))
}

// Parse reads a message of at most max bytes. What it returns shares no memory with raw. The error is ErrMalformed.
func Parse(raw []byte, max int) (Map, error) {
	if len(raw) > max {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(raw), max)
	}
	m, rest, err := parseMap(raw, 1)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: %d bytes behind it", ErrMalformed, len(rest))
	case !bytes.Equal(m.Append(make([]byte, 0, len(raw))), raw):
		return nil, fmt.Errorf("%w: not the shortest form", ErrMalformed)
	}
	return m, nil
}

func parseMap(b []byte, depth int) (Map, []byte, error) {
	n, b, err := maps.items(b, depth)
	if err != nil {
		return nil, nil, err
	}
	m := make(Map, 0, n)
	for i := range n {
		var key uint64
		if key, b, err = numbers.get(b); err != nil {
			return nil, nil, fmt.Errorf("key: %w", err)
		}
		if key > MaxKey || i > 0 && key <= uint64(m[i-1].Key) {
			return nil, nil, fmt.Errorf("key %d out of order", key)
		}
		f := Field{Key: uint8(key)}
		if f.Value, b, err = parseValue(b, depth); err != nil {
			return nil, nil, fmt.Errorf("key %d: %w", key, err)
		}
		m = append(m, f)
	}
	return m, b, nil
}

func parseValue(b []byte, depth int) (any, []byte, error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	switch format := b[0]; {
	case format == isFalse, format == isTrue:
		return format == isTrue, b[1:], nil
	case numbers.has(format):
		return wrap(numbers.get(b))
	case texts.has(format):
		text, rest, err := texts.body(b)
		if err == nil && !utf8.Valid(text) {
			err = errors.New("text is not UTF-8")
		}
		return wrap(string(text), rest, err)
	case blobs.has(format):
		blob, rest, err := blobs.body(b)
		return wrap(append([]byte{}, blob...), rest, err)
	case lists.has(format):
		return parseList(b, depth+1)
	case maps.has(format):
		return wrap(parseMap(b, depth+1))
	}
	return nil, nil, fmt.Errorf("format %#x is of no type that a message has", b[0])
}

func parseList(b []byte, depth int) (any, []byte, error) {
	n, b, err := lists.items(b, depth)
	if err != nil {
		return nil, nil, err
	}
	list := make([]any, n)
	for i := range list {
		if list[i], b, err = parseValue(b, depth); err != nil {
			return nil, nil, err
		}
	}
	return list, b, nil
}

func wrap[T any](v T, rest []byte, err error) (any, []byte, error) { return v, rest, err }
