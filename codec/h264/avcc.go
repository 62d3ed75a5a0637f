package h264

import (
	"errors"
	"fmt"
)

// ErrTruncated: the bytes end before the thing that they describe does.
var ErrTruncated = errors.New("truncated")

// SplitLengthPrefixed appends to dst the NAL units of b, each preceded by its length in lengthSize (1, 2 or 4) bytes,
// big endian, as MP4 stores samples (ISO/IEC 14496-15 5.3.4.2). Empty NAL units are left out. On an error dst holds
// the NAL units before the damage.
func SplitLengthPrefixed(dst [][]byte, b []byte, lengthSize int) ([][]byte, error) {
	if lengthSize != 1 && lengthSize != 2 && lengthSize != 4 {
		return dst, fmt.Errorf("split sample: length size %d: not 1, 2 or 4", lengthSize)
	}
	for len(b) > 0 {
		if len(b) < lengthSize {
			return dst, fmt.Errorf("split sample: NAL unit length: %w", ErrTruncated)
		}
		n := uint64(0)
		for _, c := range b[:lengthSize] {
			n = n<<8 | uint64(c)
		}
		b = b[lengthSize:]
		if n > uint64(len(b)) {
			return dst, fmt.Errorf("split sample: NAL unit of %d bytes in %d: %w", n, len(b), ErrTruncated)
		}
		if n > 0 {
			dst = append(dst, b[:n:n])
		}
		b = b[n:]
	}
	return dst, nil
}

// AppendLengthPrefixed appends the NAL units with a four-byte length before each.
func AppendLengthPrefixed(dst []byte, nalus ...[]byte) []byte {
	for _, u := range nalus {
		n := len(u)
		dst = append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		dst = append(dst, u...)
	}
	return dst
}
