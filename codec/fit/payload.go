package fit

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Settings names the compressor of kernel and initrd exactly, as squashfs.Settings does for blocks.
const Settings = "klauspost/compress v1.18.5 zstd, level better, window 1 MiB, stream, no checksum"

const payloadWindow = 1 << 20

// NewCompressor compresses one kernel or initrd as it is written. The same bytes give the same output on every
// architecture, in whatever pieces they come. It holds about 9 MB.
func NewCompressor(w io.Writer) (io.WriteCloser, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(payloadWindow), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFIT, err)
	}
	return z, nil
}

// NewExpander is the way back. It holds about 3 MB; Close lets go of it.
func NewExpander(r io.Reader) (io.ReadCloser, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(payloadWindow))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFIT, err)
	}
	return z.IOReadCloser(), nil
}
