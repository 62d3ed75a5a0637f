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
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
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
	b = msgp.AppendMapHeader(b, uint32(len(m)))
	for i, f := range m {
		if f.Key > MaxKey || i > 0 && f.Key <= m[i-1].Key {
			panic(fmt.Sprintf("pack: key %d out of order", f.Key))
		}
		b = appendValue(msgp.AppendUint64(b, uint64(f.Key)), f.Value)
	}
	return b
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case uint64:
		return msgp.AppendUint64(b, v)
	case bool:
		return msgp.AppendBool(b, v)
	case string:
		return msgp.AppendString(b, v)
	case []byte:
		return msgp.AppendBytes(b, v)
	case []any:
		b = msgp.AppendArrayHeader(b, uint32(len(v)))
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
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err == nil {
		err = bounded(n, len(b), depth)
	}
	if err != nil {
		return nil, nil, err
	}
	m := make(Map, 0, n)
	for i := range int(n) {
		var key uint64
		if key, b, err = msgp.ReadUint64Bytes(b); err != nil {
			return nil, nil, err
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

// bounded refuses a length before memory is taken for it: each item is a byte at least.
func bounded(n uint32, left, depth int) error {
	switch {
	case depth > MaxDepth:
		return fmt.Errorf("more than %d levels", MaxDepth)
	case n > MaxItems:
		return fmt.Errorf("%d items, at most %d", n, MaxItems)
	case int(n) > left:
		return errors.New("cut short")
	}
	return nil
}

func parseValue(b []byte, depth int) (any, []byte, error) {
	if len(b) == 0 || !holds(b) {
		return nil, nil, errors.New("cut short")
	}
	switch msgp.NextType(b) {
	case msgp.UintType, msgp.IntType:
		return wrap(msgp.ReadUint64Bytes(b))
	case msgp.BoolType:
		return wrap(msgp.ReadBoolBytes(b))
	case msgp.StrType:
		text, rest, err := msgp.ReadStringBytes(b)
		if err == nil && !utf8.ValidString(text) {
			err = errors.New("text is not UTF-8")
		}
		return wrap(text, rest, err)
	case msgp.BinType:
		return wrap(msgp.ReadBytesBytes(b, []byte{}))
	case msgp.ArrayType:
		return parseList(b, depth+1)
	case msgp.MapType:
		return wrap(parseMap(b, depth+1))
	}
	return nil, nil, fmt.Errorf("a value of type %v", msgp.NextType(b))
}

// holds reports whether the bytes that a length of 32 bits promises are there. msgp v1.6.5 takes such a length for an
// int and panics where an int has 32 bits.
func holds(b []byte) bool {
	const bin32, str32, header = 0xc6, 0xdb, 5
	if b[0] != bin32 && b[0] != str32 {
		return true
	}
	return len(b) >= header && uint64(binary.BigEndian.Uint32(b[1:])) <= uint64(len(b)-header)
}

func parseList(b []byte, depth int) (any, []byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err == nil {
		err = bounded(n, len(b), depth)
	}
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
