package mp4

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ocellus/ocellus/codec/h264"
)

// box is one box (ISO/IEC 14496-12 4.2) in memory.
type box struct {
	kind string
	body []byte
}

// nextBox takes the first box off b.
func nextBox(b []byte) (first box, rest []byte, err error) {
	if len(b) < 8 {
		return box{}, nil, fmt.Errorf("%w: box of %d bytes", ErrInvalid, len(b))
	}
	size, head := uint64(binary.BigEndian.Uint32(b)), 8
	kind := string(b[4:8])
	switch {
	case size == 0:
		size = uint64(len(b))
	case size == 1 && len(b) >= 16:
		size, head = binary.BigEndian.Uint64(b[8:]), 16
	}
	if size < uint64(head) || size > uint64(len(b)) {
		return box{}, nil, fmt.Errorf("%w: box %q of %d bytes in %d", ErrInvalid, kind, size, len(b))
	}
	return box{kind, b[head:size:size]}, b[size:], nil
}

// find returns the body of the box that a path of kinds leads to, the first of each kind; nil if there is none.
func find(b []byte, path ...string) []byte {
	for _, kind := range path {
		var body []byte
		for len(b) > 0 {
			first, rest, err := nextBox(b)
			if err != nil {
				return nil
			}
			if first.kind == kind {
				body = first.body
				break
			}
			b = rest
		}
		if b = body; b == nil {
			return nil
		}
	}
	return b
}

// readMovie finds the moov box among the boxes of the file and reads it.
func readMovie(r io.ReaderAt, size int64) ([]byte, error) {
	var head [16]byte
	fragments := false
	for at := int64(0); size-at >= 8; {
		n := min(size-at, int64(len(head)))
		if _, err := r.ReadAt(head[:n], at); err != nil && err != io.EOF {
			return nil, fmt.Errorf("read box: %w", err)
		}
		length, skip := int64(binary.BigEndian.Uint32(head[:])), int64(8)
		switch {
		case length == 0:
			length = size - at
		case length == 1 && n == 16:
			length, skip = int64(binary.BigEndian.Uint64(head[8:])), 16
		}
		kind := string(head[4:8])
		if length < skip || length > size-at {
			return nil, fmt.Errorf("%w: box %q of %d bytes at %d of %d", ErrInvalid, kind, length, at, size)
		}
		if kind == "moov" {
			return readBody(r, at+skip, length-skip)
		}
		fragments = fragments || kind == "moof"
		at += length
	}
	if fragments {
		return nil, ErrFragmented
	}
	return nil, fmt.Errorf("%w: no moov box", ErrInvalid)
}

func readBody(r io.ReaderAt, at, size int64) ([]byte, error) {
	if size > maxMovie {
		return nil, fmt.Errorf("%w: moov of %d bytes", ErrInvalid, size)
	}
	b := make([]byte, size)
	if n, err := r.ReadAt(b, at); n < len(b) {
		return nil, fmt.Errorf("read moov: %w", err)
	}
	return b, nil
}

// track is what the moov box says of one track.
type track struct {
	timescale uint32 // ticks per second
	entry     entry
	tables    tables
}

// entry is what the sample entry says (ISO/IEC 14496-15 5.3.3).
type entry struct {
	lengthSize int
	params     [][]byte // SPS, then PPS
}

func findTrack(moov []byte) (track, error) {
	fragmented := find(moov, "mvex") != nil
	for len(moov) > 0 {
		first, rest, err := nextBox(moov)
		if err != nil {
			return track{}, err
		}
		moov = rest
		if first.kind != "trak" {
			continue
		}
		avcc := findAVCC(find(first.body, "mdia", "minf", "stbl", "stsd"))
		if avcc == nil {
			continue
		}
		t, err := readTrack(first.body, avcc)
		if err == nil && fragmented && t.tables.samples == 0 {
			err = ErrFragmented
		}
		return t, err
	}
	return track{}, ErrNoVideo
}

// findAVCC returns the AVC configuration in the first sample entry that has one.
func findAVCC(stsd []byte) []byte {
	if len(stsd) < 8 {
		return nil
	}
	const fields = 78 // of VisualSampleEntry, before its boxes
	for b := stsd[8:]; len(b) > 0; {
		first, rest, err := nextBox(b)
		if err != nil {
			return nil
		}
		if (first.kind == "avc1" || first.kind == "avc3") && len(first.body) > fields {
			return find(first.body[fields:], "avcC")
		}
		b = rest
	}
	return nil
}

func readTrack(trak, avcc []byte) (track, error) {
	var t track
	var err error
	if t.timescale = readTimescale(find(trak, "mdia", "mdhd")); t.timescale == 0 {
		return t, fmt.Errorf("%w: no timescale", ErrInvalid)
	}
	if t.entry, err = readAVCC(avcc); err != nil {
		return t, err
	}
	t.tables, err = readTables(find(trak, "mdia", "minf", "stbl"))
	return t, err
}

func readTimescale(mdhd []byte) uint32 {
	at := 12
	if len(mdhd) > 0 && mdhd[0] == 1 {
		at = 20
	}
	if len(mdhd) < at+4 {
		return 0
	}
	return binary.BigEndian.Uint32(mdhd[at:])
}

// readAVCC reads AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1).
func readAVCC(b []byte) (entry, error) {
	if len(b) < 6 {
		return entry{}, fmt.Errorf("avcC: %w", h264.ErrTruncated)
	}
	e := entry{lengthSize: int(b[4]&3) + 1}
	if e.lengthSize == 3 {
		return entry{}, fmt.Errorf("%w: avcC: length size 3", ErrInvalid)
	}
	count := int(b[5] & 31)
	b = b[6:]
	for set := range 2 {
		if set == 1 {
			if len(b) == 0 {
				return entry{}, fmt.Errorf("avcC: %w", h264.ErrTruncated)
			}
			count, b = int(b[0]), b[1:]
		}
		for range count {
			if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
				return entry{}, fmt.Errorf("avcC: parameter set: %w", h264.ErrTruncated)
			}
			n := 2 + int(binary.BigEndian.Uint16(b))
			if n > 2 {
				e.params = append(e.params, b[2:n:n])
			}
			b = b[n:]
		}
	}
	return e, nil
}
