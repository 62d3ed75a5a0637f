package fit

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// Settings names the compressor of kernel and initrd exactly, as squashfs.Settings does for blocks. It is gzip because
// that is what every U-Boot undoes: Debian's for QEMU has no zstd.
const Settings = "klauspost/compress v1.18.5 gzip, level 9, no name, no time"

// GzipMagic is how a compressed kernel or initrd begins.
const GzipMagic = "\x1f\x8b"

// NewCompressor compresses one kernel or initrd as it is written. The same bytes give the same output on every
// architecture, in whatever pieces they come. It holds about 1 MB.
func NewCompressor(w io.Writer) (io.WriteCloser, error) {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFIT, err)
	}
	return z, nil
}

// NewExpander is the way back.
func NewExpander(r io.Reader) (io.ReadCloser, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFIT, err)
	}
	return z, nil
}
