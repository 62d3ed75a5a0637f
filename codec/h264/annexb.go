package h264

import (
	"encoding/binary"
	"math/bits"
)

// SplitAnnexB appends to dst the NAL units of a byte stream (H.264 Annex B), slices of b without start codes, and
// returns the extended dst. It allocates nothing while dst has room.
//
// Start codes have three or four bytes. What stands before the first one is skipped: a stream without a start code has
// no NAL units. Zero bytes at the end of a NAL unit (trailing_zero_8bits) and empty NAL units are left out.
func SplitAnnexB(dst [][]byte, b []byte) [][]byte {
	at := indexStartCode(b, 0)
	for at >= 0 {
		begin := at + 3
		at = indexStartCode(b, begin)
		end := at
		if at < 0 {
			end = len(b)
		}
		for end > begin && b[end-1] == 0 {
			end--
		}
		if end > begin {
			dst = append(dst, b[begin:end:end])
		}
	}
	return dst
}

// AppendAnnexB appends the NAL units with a four-byte start code before each.
func AppendAnnexB(dst []byte, nalus ...[]byte) []byte {
	for _, u := range nalus {
		dst = append(dst, 0, 0, 0, 1)
		dst = append(dst, u...)
	}
	return dst
}

// indexStartCode returns the index of the first 00 00 01 at or after from, -1 if there is none.
//
// A start code holds a zero byte, and coded data has few: eight bytes without one are passed at once.
func indexStartCode(b []byte, from int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := from
	for i+10 <= len(b) {
		v := binary.LittleEndian.Uint64(b[i:])
		zeros := (v - ones) & ^v & highs
		if zeros == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(zeros) / 8 // the lowest marked byte is a true zero
		if i+2 >= len(b) {
			break
		}
		if b[i+1] == 0 && b[i+2] == 1 {
			return i
		}
		i++
	}
	for ; i+2 < len(b); i++ {
		if b[i] == 0 && b[i+1] == 0 && b[i+2] == 1 {
			return i
		}
	}
	return -1
}
