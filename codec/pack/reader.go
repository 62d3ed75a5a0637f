package pack

import "fmt"

// Reader takes the fields out of a message, by their keys in ascending order, and remembers the first fault: ask for
// everything, then look at Done. A field that nobody asked for is a fault, since its sender means something.
type Reader struct {
	fields Map
	err    error
}

// Read begins to take fields out of m.
func Read(m Map) *Reader { return &Reader{fields: m} }

// next takes the field with this key; false where it is absent.
func (r *Reader) next(key uint8) (any, bool) {
	if r.err != nil || len(r.fields) == 0 || r.fields[0].Key > key {
		return nil, false
	}
	f := r.fields[0]
	if f.Key < key {
		r.fail("unknown field %d", f.Key)
		return nil, false
	}
	r.fields = r.fields[1:]
	return f.Value, true
}

func (r *Reader) fail(format string, words ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, words...))
	}
}

// take is next for a field that must be there and have this type.
func take[T any](r *Reader, key uint8) T {
	var none T
	v, ok := r.next(key)
	if !ok {
		r.fail("no field %d", key)
		return none
	}
	t, ok := v.(T)
	if !ok {
		r.fail("field %d is a %T", key, v)
	}
	return t
}

// Has reports whether the next field is this one: for fields that may be absent.
func (r *Reader) Has(key uint8) bool {
	return r.err == nil && len(r.fields) > 0 && r.fields[0].Key == key
}

// Bytes takes a byte string of exactly size bytes.
func (r *Reader) Bytes(key uint8, size int) []byte {
	b := take[[]byte](r, key)
	if len(b) != size {
		r.fail("field %d has %d bytes, want %d", key, len(b), size)
		return make([]byte, size)
	}
	return b
}

// Blob takes a byte string of at most max bytes.
func (r *Reader) Blob(key uint8, max int) []byte {
	b := take[[]byte](r, key)
	if len(b) > max {
		r.fail("field %d has %d bytes, at most %d", key, len(b), max)
		return nil
	}
	return b
}

// Text takes a text of at most max bytes.
func (r *Reader) Text(key uint8, max int) string {
	s := take[string](r, key)
	if len(s) > max {
		r.fail("field %d has %d bytes, at most %d", key, len(s), max)
		return ""
	}
	return s
}

// Uint takes a number of at most max.
func (r *Reader) Uint(key uint8, max uint64) uint64 {
	n := take[uint64](r, key)
	if n > max {
		r.fail("field %d is %d, at most %d", key, n, max)
		return 0
	}
	return n
}

// Is takes a number that can only be this one: a version.
func (r *Reader) Is(key uint8, want uint64) {
	if n := take[uint64](r, key); n != want {
		r.fail("field %d is %d, want %d", key, n, want)
	}
}

// Bool takes a truth.
func (r *Reader) Bool(key uint8) bool { return take[bool](r, key) }

// Map takes a map.
func (r *Reader) Map(key uint8) Map { return take[Map](r, key) }

// List takes a list of at most max items.
func (r *Reader) List(key uint8, max int) []any {
	l := take[[]any](r, key)
	if len(l) > max {
		r.fail("field %d has %d items, at most %d", key, len(l), max)
		return nil
	}
	return l
}

// Done returns the first fault; it is ErrMalformed.
func (r *Reader) Done() error {
	if r.err == nil && len(r.fields) > 0 {
		r.fail("unknown field %d", r.fields[0].Key)
	}
	return r.err
}

// Known is Done for a message to which later releases add: fields that nobody asked for are let be.
func (r *Reader) Known() error { return r.err }
