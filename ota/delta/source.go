package delta

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/ota/delta/wire"
)

// Bounds of what is kept expanded of a source.
const (
	maxKept   = 8       // blocks
	keptBytes = 1 << 20 // about, of larger ones
)

// source reads an expanded source.
type source struct {
	from   io.ReaderAt
	header *wire.Header
	begins []uint32 // where each part begins
	codec  *squashfs.Codec
	kept   []block // the one that was used last comes first
	stored []byte  // of the block that is being expanded
	stream *stream // the one that is open
}

type block struct {
	part     int
	expanded []byte
}

func newSource(from io.ReaderAt, h *wire.Header, c *squashfs.Codec) *source {
	s := &source{from: from, header: h, codec: c}
	at := h.Source.Size
	for _, p := range h.Parts {
		s.begins = append(s.begins, at)
		at += p.Expanded
	}
	return s
}

func (s *source) close() {
	if s.stream != nil {
		s.stream.close()
	}
	s.stream = nil
}

// read fills p with what lies at x.
func (s *source) read(p []byte, x uint32) error {
	for len(p) > 0 {
		n, err := s.some(p, x)
		if err != nil {
			return err
		}
		p, x = p[n:], x+uint32(n)
	}
	return nil
}

// some reads from one part.
func (s *source) some(p []byte, x uint32) (int, error) {
	if size := s.header.Source.Size; x < size {
		p = p[:min(len(p), int(size-x))]
		n, err := s.from.ReadAt(p, int64(x))
		if n == len(p) {
			return n, nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the source ends at %d", ErrTarget, int(x)+n)
		}
		return n, err
	}
	i := sort.Search(len(s.begins), func(i int) bool { return s.begins[i] > x }) - 1
	if i < 0 {
		return 0, fmt.Errorf("%w: nothing at %d", ErrFormat, x)
	}
	part, at := s.header.Parts[i], x-s.begins[i]
	if at >= part.Expanded {
		return 0, fmt.Errorf("%w: nothing at %d", ErrFormat, x)
	}
	p = p[:min(len(p), int(part.Expanded-at))]
	if part.Kind == wire.Stream {
		return len(p), s.fromStream(p, i, at)
	}
	expanded, err := s.block(i)
	if err != nil {
		return 0, err
	}
	return copy(p, expanded[at:]), nil
}

// block returns a block, expanded.
func (s *source) block(i int) ([]byte, error) {
	for k, b := range s.kept {
		if b.part == i {
			copy(s.kept[1:k+1], s.kept[:k])
			s.kept[0] = b
			return b.expanded, nil
		}
	}
	part := s.header.Parts[i]
	if s.codec == nil || part.Stored > s.header.BlockSize {
		return nil, fmt.Errorf("%w: impossible block", ErrFormat)
	}
	if s.stored == nil {
		s.stored = make([]byte, s.header.BlockSize)
	}
	stored := s.stored[:part.Stored]
	if n, err := s.from.ReadAt(stored, int64(part.Offset)); n < len(stored) {
		return nil, fmt.Errorf("%w: block at %d: %w", ErrTarget, part.Offset, err)
	}
	expanded, err := s.codec.Expand(s.room(), stored)
	if err != nil || len(expanded) != int(part.Expanded) {
		return nil, fmt.Errorf("%w: block at %d has %d bytes: %w", ErrTarget, part.Offset, len(expanded), err)
	}
	s.kept = append(s.kept, block{})
	copy(s.kept[1:], s.kept)
	s.kept[0] = block{i, expanded}
	return expanded, nil
}

// room is memory for one more block: a new one's, or that of the block that was not used for longest.
func (s *source) room() []byte {
	size := int(s.header.BlockSize)
	if len(s.kept) < min(maxKept, max(3, keptBytes/size)) {
		return make([]byte, 0, size)
	}
	last := len(s.kept) - 1
	room := s.kept[last].expanded[:0]
	s.kept = s.kept[:last]
	return room
}

func (s *source) fromStream(p []byte, i int, at uint32) error {
	if s.stream == nil || s.stream.part != i || at < s.stream.begin {
		s.close()
		part := s.header.Parts[i]
		stored := io.NewSectionReader(s.from, int64(part.Offset), int64(part.Stored))
		z, err := fit.NewExpander(bufio.NewReaderSize(stored, 32<<10))
		if err != nil {
			return fmt.Errorf("%w: stream at %d: %w", ErrTarget, part.Offset, err)
		}
		s.stream = &stream{part: i, z: z}
	}
	if err := s.stream.read(p, at); err != nil {
		return fmt.Errorf("%w: stream at %d: %w", ErrTarget, s.header.Parts[i].Offset, err)
	}
	return nil
}

// stream expands a stream once, from its beginning on, and keeps what it gave last. Going back further begins anew.
type stream struct {
	part   int
	z      io.ReadCloser
	begin  uint32 // where kept begins
	kept   []byte
	buffer []byte
}

func (s *stream) close() { _ = s.z.Close() }

// read fills p with what lies at a place that is not in front of what is kept.
func (s *stream) read(p []byte, at uint32) error {
	if s.buffer == nil {
		s.buffer = make([]byte, wire.StreamWindow+4*wire.Chunk)
		s.kept = s.buffer[:0]
	}
	for s.begin+uint32(len(s.kept)) < at+uint32(len(p)) {
		if len(s.kept) == len(s.buffer) {
			n := copy(s.buffer, s.kept[len(s.kept)-wire.StreamWindow-wire.Chunk:])
			s.begin += uint32(len(s.kept) - n)
			s.kept = s.buffer[:n]
		}
		n, err := s.z.Read(s.buffer[len(s.kept):])
		s.kept = s.buffer[:len(s.kept)+n]
		if n == 0 && err != nil {
			return err
		}
	}
	copy(p, s.kept[at-s.begin:])
	return nil
}
