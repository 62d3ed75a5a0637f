package h264

import (
	"errors"
	"fmt"
	"io"
)

// Bounds of Reader.
const (
	// MaxAccessUnit is the most bytes that one access unit may have, its start codes included.
	MaxAccessUnit = 8 << 20
	// MaxNALUs is the most NAL units that one access unit may have.
	MaxNALUs = 4096

	readChunk = 64 << 10
)

// ErrTooLarge: an access unit is larger than this program takes.
var ErrTooLarge = errors.New("access unit too large")

// Reader reads the access units of an Annex B byte stream. Its memory is bounded by MaxAccessUnit, whatever comes in.
type Reader struct {
	r        io.Reader
	boundary Boundary
	buf      []byte // bytes read and not yet handed out
	spans    []span // complete NAL units in buf, in order
	next     span   // the NAL unit that began the access unit after spans; to 0 if none
	nalus    [][]byte
	nal      int // where the NAL unit that is being read begins in buf; -1 before the first start code
	scan     int // where the search for the next start code goes on
	eof      bool
	err      error
}

type span struct{ from, to int }

// NewReader returns a Reader of r. It reads ahead.
func NewReader(r io.Reader) *Reader { return &Reader{r: r, nal: -1} }

// Next returns the NAL units of the next access unit, valid until the next call, and io.EOF after the last one.
func (r *Reader) Next() ([][]byte, error) {
	r.begin()
	for r.err == nil {
		ready, err := r.step()
		if err != nil {
			r.err = err
		}
		if ready {
			return r.take(), nil
		}
	}
	return nil, r.err
}

// begin drops what the last Next handed out; the NAL unit that closed it opens the new access unit.
func (r *Reader) begin() {
	keep := r.scan
	if r.nal >= 0 {
		keep = r.nal
	}
	r.spans = r.spans[:0]
	if r.next.to > 0 {
		keep = r.next.from
		r.spans, r.next = append(r.spans, r.next), span{}
	}
	if len(r.buf)-keep < keep || cap(r.buf)-len(r.buf) < readChunk {
		r.shift(keep)
	}
}

// shift moves what is still needed to the front of the buffer.
func (r *Reader) shift(keep int) {
	r.buf = r.buf[:copy(r.buf, r.buf[keep:])]
	r.scan -= keep
	if r.nal >= 0 {
		r.nal -= keep
	}
	for i := range r.spans {
		r.spans[i] = span{r.spans[i].from - keep, r.spans[i].to - keep}
	}
}

// step finds the next NAL unit or reads more; ready: spans hold a whole access unit.
func (r *Reader) step() (ready bool, err error) {
	at := indexStartCode(r.buf, r.scan)
	switch {
	case at >= 0:
		ready, err = r.end(at)
		r.nal, r.scan = at+3, at+3
		return ready, err
	case r.eof:
		ready, err = r.end(len(r.buf))
		r.nal, r.scan = -1, len(r.buf)
		if ready || err != nil {
			return ready, err
		}
		return len(r.spans) > 0, io.EOF
	}
	r.scan = max(r.scan, len(r.buf)-2)
	if r.nal < 0 { // nothing but garbage so far: forget it
		r.shift(r.scan)
	}
	return false, r.fill()
}

// end closes the NAL unit that is being read at index to of buf.
func (r *Reader) end(to int) (ready bool, err error) {
	if r.nal < 0 {
		return false, nil
	}
	s := span{r.nal, to}
	for s.to > s.from && r.buf[s.to-1] == 0 {
		s.to--
	}
	if s.to == s.from {
		return false, nil
	}
	if starts := r.boundary.Starts(r.buf[s.from:s.to]); starts && len(r.spans) > 0 {
		r.next = s
		return true, nil
	}
	if len(r.spans) == MaxNALUs {
		return false, fmt.Errorf("read access unit: %w: more than %d NAL units", ErrTooLarge, MaxNALUs)
	}
	r.spans = append(r.spans, s)
	return false, nil
}

func (r *Reader) fill() error {
	if len(r.buf) >= MaxAccessUnit {
		return fmt.Errorf("read access unit: %w: more than %d bytes", ErrTooLarge, MaxAccessUnit)
	}
	if cap(r.buf)-len(r.buf) < readChunk {
		r.buf = append(make([]byte, 0, 2*cap(r.buf)+2*readChunk), r.buf...)
	}
	n, err := io.ReadAtLeast(r.r, r.buf[len(r.buf):min(cap(r.buf), len(r.buf)+readChunk)], 1)
	r.buf = r.buf[:len(r.buf)+n]
	if errors.Is(err, io.EOF) {
		r.eof = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("read access unit: %w", err)
	}
	return nil
}

func (r *Reader) take() [][]byte {
	r.nalus = r.nalus[:0]
	for _, s := range r.spans {
		r.nalus = append(r.nalus, r.buf[s.from:s.to:s.to])
	}
	return r.nalus
}
