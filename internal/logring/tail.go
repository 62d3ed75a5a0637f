package logring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Tail is a file that outlives the program, in memory where there is such a place; an *os.File that appends is one.
type Tail interface {
	Write(p []byte) (int, error)
	Truncate(size int64) error
}

// unstored are the lines of a tail that are not in the store, in their order: two that came at once may have changed
// places.
func unstored(left []byte, last uint64) (lines []Line) {
	for _, l := range decodeLines(left[:min(len(left), maxStored)]) {
		at := len(lines)
		for at > 0 && lines[at-1].Seq > l.Seq {
			at--
		}
		if l.Seq > last && (at == 0 || lines[at-1].Seq < l.Seq) {
			lines = slices.Insert(lines, at, l)
		}
	}
	return lines
}

// To lets the log go into a Tail, too, from now on; what is not in the store goes there at once.
func (r *Ring) To(t Tail) error {
	r.tailing.Lock()
	defer r.tailing.Unlock()
	if err := t.Truncate(0); err != nil {
		return fmt.Errorf("open tail of log: %w", err)
	}
	r.mu.Lock()
	var b bytes.Buffer
	for _, l := range r.lines {
		if l.Seq >= r.dirty {
			b.Write(l.public())
		}
	}
	r.mu.Unlock()
	r.tail = t
	return r.append(b.Bytes())
}

// public is the line as it is stored where it lies open: without the names of people.
func (l Line) public() []byte {
	fields := slices.Clone(l.Fields)
	for i, f := range fields {
		if slices.Contains([]string{"name", "who", "viewer"}, f.Name) {
			fields[i].Value = json.RawMessage(`"***"`)
		}
	}
	l.Fields = fields
	return l.json()
}

// append writes to the tail; when it is full it begins anew. The caller holds tailing.
func (r *Ring) append(lines []byte) error {
	if r.tail == nil {
		return nil
	}
	if r.tailed += len(lines); r.tailed > maxTail {
		r.tailed = len(lines)
		if err := r.tail.Truncate(0); err != nil {
			return err
		}
	}
	_, err := r.tail.Write(lines)
	return err
}

// empty empties the tail, once everything is in the store.
func (r *Ring) empty() error {
	r.tailing.Lock()
	defer r.tailing.Unlock()
	r.mu.Lock()
	done := r.dirty > r.seq
	r.mu.Unlock()
	if !done || r.tail == nil || r.tailed == 0 {
		return nil
	}
	r.tailed = 0
	return r.tail.Truncate(0)
}
