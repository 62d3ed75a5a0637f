package squashfs

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Settings names the compressor exactly: module, version, level and options. An image carries it beside the file
// system. A codec whose Settings differ makes no promise about the image's bytes, so whoever recompresses compares
// first.
const Settings = "klauspost/compress v1.18.5 zstd, level default, single segment, no checksum"

// Codec compresses and expands single blocks. The same block gives the same bytes whatever was compressed before it, on
// every architecture. It holds about 2 MB and is for one goroutine.
type Codec struct {
	encoder   *zstd.Encoder
	decoder   *zstd.Decoder
	blockSize int
}

// NewCodec returns the codec for images of this block size.
func NewCodec(blockSize int) (*Codec, error) {
	if !validBlockSize(blockSize) {
		return nil, fmt.Errorf("squashfs: block size %d, want a power of two from 4 KiB to 1 MiB", blockSize)
	}
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(blockSize), zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("squashfs: %w", err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(blockSize)), zstd.WithDecoderMaxWindow(uint64(blockSize)))
	if err != nil {
		return nil, fmt.Errorf("squashfs: %w", err)
	}
	return &Codec{encoder, decoder, blockSize}, nil
}

// Close lets go of the codec's memory.
func (c *Codec) Close() {
	_ = c.encoder.Close() // nothing is buffered
	c.decoder.Close()
}

// Compress appends the stored form of a block to dst and reports whether that is compressed: a block that does not get
// smaller is stored as it is.
func (c *Codec) Compress(dst, block []byte) (out []byte, compressed bool) {
	start := len(dst)
	dst = c.encoder.EncodeAll(block, dst)
	if len(dst)-start < len(block) {
		return dst, true
	}
	return append(dst[:start], block...), false
}

// Expand appends the block behind stored compressed bytes to dst. It never takes more than the block size.
func (c *Codec) Expand(dst, stored []byte) ([]byte, error) {
	start := len(dst)
	out, err := c.decoder.DecodeAll(stored, dst)
	if err != nil {
		return dst, fmt.Errorf("squashfs: expand block: %w", err)
	}
	if n := len(out) - start; n == 0 || n > c.blockSize {
		return dst, errors.New("squashfs: expand block: impossible size")
	}
	return out, nil
}

// validBlockSize: what the kernel takes (squashfs_fs.h, SQUASHFS_FILE_MAX_SIZE).
func validBlockSize(n int) bool { return n >= 4096 && n <= 1<<20 && n&(n-1) == 0 }
