// Package delta makes the image of a slot out of another one and a delta, on the camera: an io.ReaderAt of the source
// goes in, a delta (ota/delta/wire) beside it, and out comes the target, in order. Pure: it knows no slot, no network.
//
// Its law:
//
//   - Memory is bounded by the format, whatever a delta says: the header once, one frame, eight blocks, a compressor.
//   - What comes out is the target that the delta names, or it is not: the caller knows the hashes of the target's
//     segments and looks. A delta that can't be what it says ends in ErrFormat, one whose bytes don't fit the source or
//     this program's compressors in ErrTarget or ErrSettings.
//   - It goes on where it stopped: Segment may be asked for any place, and reads no more of the delta than from the last
//     frame in front of it that can be read by itself. Those are a MiB of expanded target apart, but within a kernel or
//     an initrd that is compressed again, which begins anew.
//
// A slot's squashfs is expanded, patched and compressed again block by block, so that a byte that changes in a program
// costs no more than it does in a file that is not compressed (ADR 0007, ADR 0019). The verity tree is made out of what
// was written.
package delta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/ocellus/ocellus/codec/fit"
	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/ota/delta/wire"
)

// What is wrong with a delta.
var (
	ErrFormat   = wire.ErrFormat                              // it is none, or damaged
	ErrSettings = errors.New("delta for other compressors")   // this program would make other bytes
	ErrTarget   = errors.New("delta does not fit its source") // what comes out is not as long as it has to be
)

// Image is what a delta says of the image that it starts from, or of the one that it makes.
type Image = wire.Image

// Reader makes a target. It is for one goroutine.
type Reader struct {
	header *wire.Header
	delta  io.ReaderAt
	frames []int64 // where each begins in the delta
	source *source
	target io.ReaderAt
	blocks *squashfs.Codec
	expand *zstd.Decoder
	frame  *frame
	make   maker
	begins []start
	at     int64 // of the target, where make goes on
}

// Open reads the head of a delta. target gives back what was written of the target so far, in front of what is asked
// for: the verity tree covers it. The source is read only where it is copied from.
func Open(from, delta, target io.ReaderAt) (*Reader, error) {
	expand, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(wire.MaxHeader), zstd.WithDecoderMaxWindow(wire.MaxHeader))
	if err != nil {
		return nil, fmt.Errorf("open delta: %w", err)
	}
	r := &Reader{delta: delta, target: target, expand: expand}
	if err := r.open(from); err != nil {
		r.Close()
		return nil, fmt.Errorf("open delta: %w", err)
	}
	return r, nil
}

func (r *Reader) open(from io.ReaderAt) (err error) {
	at, err := r.readHeader()
	if err != nil {
		return err
	}
	h := r.header
	if h.Blocks != "" && h.Blocks != squashfs.Settings || h.Streams != "" && h.Streams != fit.Settings {
		return fmt.Errorf("%w: %q, %q", ErrSettings, h.Blocks, h.Streams)
	}
	if h.BlockSize > 0 {
		if r.blocks, err = squashfs.NewCodec(int(h.BlockSize)); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	for _, f := range h.Frames {
		r.frames = append(r.frames, at)
		at += int64(f.Stored)
	}
	r.source = newSource(from, h, r.blocks)
	r.frame = newFrame(h, r.source)
	return r.start(0)
}

// readHeader returns where the frames begin.
func (r *Reader) readHeader() (int64, error) {
	var prefix [wire.PrefixSize]byte
	if err := readFull(r.delta, prefix[:], 0); err != nil {
		return 0, err
	}
	if string(prefix[:len(wire.Magic)]) != wire.Magic {
		return 0, fmt.Errorf("%w: it begins otherwise", ErrFormat)
	}
	stored := binary.LittleEndian.Uint32(prefix[len(wire.Magic):])
	size := binary.LittleEndian.Uint32(prefix[len(wire.Magic)+4:])
	if stored > wire.MaxHeader || size > wire.MaxHeader {
		return 0, fmt.Errorf("%w: header of %d bytes, %d stored", ErrFormat, size, stored)
	}
	packed := make([]byte, stored)
	if err := readFull(r.delta, packed, int64(wire.PrefixSize)); err != nil {
		return 0, err
	}
	text, err := r.unpack(packed, int(size))
	if err != nil {
		return 0, err
	}
	r.header, err = wire.Parse(text)
	return int64(wire.PrefixSize) + int64(stored), err
}

// unpack expands zstd that has to give size bytes.
func (r *Reader) unpack(packed []byte, size int) ([]byte, error) {
	var head zstd.Header
	if err := head.Decode(packed); err != nil || !head.HasFCS || head.FrameContentSize != uint64(size) {
		return nil, fmt.Errorf("%w: zstd of another size", ErrFormat)
	}
	out, err := r.expand.DecodeAll(packed, make([]byte, 0, size))
	if err != nil || len(out) != size {
		return nil, fmt.Errorf("%w: zstd: %w", ErrFormat, err)
	}
	return out, nil
}

func readFull(from io.ReaderAt, p []byte, at int64) error {
	n, err := from.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends in its middle", ErrFormat)
	}
	return err
}

// Source is the image that the delta starts from.
func (r *Reader) Source() Image { return r.header.Source }

// Target is the image that it makes.
func (r *Reader) Target() Image { return r.header.Target }

// Close lets go of memory.
func (r *Reader) Close() {
	r.expand.Close()
	if r.blocks != nil {
		r.blocks.Close()
	}
	if r.source != nil {
		r.source.close()
	}
}

// Segment fills p with what lies at a place in the target. One that goes on where the last one ended costs least.
func (r *Reader) Segment(p []byte, at int64) error {
	if at < 0 || at+int64(len(p)) > int64(r.header.Target.Size) {
		return fmt.Errorf("delta: %d bytes at %d leave a target of %d", len(p), at, r.header.Target.Size)
	}
	if err := r.segment(p, at); err != nil {
		r.at = -1 // what is under way is not known: the next one begins anew
		return fmt.Errorf("delta: at %d: %w", at, err)
	}
	return nil
}

func (r *Reader) segment(p []byte, at int64) error {
	if at < r.at || r.at < 0 || r.startFor(at).target > r.at {
		if err := r.start(at); err != nil {
			return err
		}
	}
	for skip := at - r.at; skip > 0; skip = at - r.at {
		if err := r.fill(p[:min(skip, int64(len(p)))], nil); err != nil {
			return err
		}
	}
	return r.fill(p, p)
}

// fill makes the next bytes. here are the bytes of the segment up to its end, for a tree that covers its beginning.
func (r *Reader) fill(p, here []byte) error {
	for done := 0; done < len(p); {
		n, err := r.next(p[done:], here[:min(done, len(here))])
		if err != nil {
			return err
		}
		done += n
		r.at += int64(n)
	}
	return nil
}
