// Package enumerated reads and writes the file of boot states that a boot loader met in the crash test of the update
// engine (package ota, which writes it), for whoever judges them again by another boot script (package bootstate). It is
// for tests. A state is two letters, for what the FITs of the slots are, and both copies of the boot record; all states
// are compressed by gzip (RFC 1952).
package enumerated

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// What the FIT of a slot is.
const (
	Good    = "good"    // it verifies
	Empty   = "empty"   // there is none
	Flipped = "flipped" // a bit of it is wrong
)

// State is what a boot loader finds.
type State struct {
	Slots  [2]string // Good, Empty or Flipped: A's, then B's
	Copies [2][]byte // of the boot record
}

// Bytes is a state as it is in the file.
func (s State) Bytes() []byte {
	b := []byte{s.Slots[0][0], s.Slots[1][0]}
	return append(append(b, s.Copies[0]...), s.Copies[1]...)
}

// Read reads a file whose copies have so many bytes each.
func Read(r io.Reader, copySize int) ([]State, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("boot states: %w", err)
	}
	words := map[byte]string{Good[0]: Good, Empty[0]: Empty, Flipped[0]: Flipped}
	for all := []State(nil); ; {
		b := make([]byte, 2+2*copySize)
		switch _, err := io.ReadFull(z, b); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("boot states: %w", err)
		}
		s := State{[2]string{words[b[0]], words[b[1]]}, [2][]byte{b[2:][:copySize], b[2+copySize:]}}
		if s.Slots[0] == "" || s.Slots[1] == "" {
			return nil, fmt.Errorf("boot states: state %d has FITs %q", len(all), b[:2])
		}
		all = append(all, s)
	}
}

// Write writes the file.
func Write(w io.Writer, all []State) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	for _, s := range all {
		if _, err := z.Write(s.Bytes()); err != nil {
			return err
		}
	}
	return z.Close()
}
