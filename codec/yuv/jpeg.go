package yuv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
)

// MaxJPEG is the largest JPEG picture that FromJPEG looks at, in bytes.
const MaxJPEG = 32 << 20

// FromJPEG decodes a JPEG picture, as UVC cameras send one a frame, into p. Chroma of 4:4:4, 4:2:2, 4:4:0, 4:1:1 and
// 4:1:0 is brought to 4:2:0; a grey picture gets neutral chroma; an odd last column or row is cut off. Many cameras
// leave out the Huffman tables (AVI1 MJPEG); the standard ones (ITU-T T.81 K.3) are put in their place.
//
// JPEG samples have the full range (JFIF); they are brought to the limited range, which is what every other format
// here has.
//
// Unlike the rest of the package it allocates, since image/jpeg does.
func (p *Picture) FromJPEG(data []byte) error {
	if len(data) > MaxJPEG {
		return fmt.Errorf("yuv JPEG of %d bytes: %w", len(data), ErrSize)
	}
	size, hasTables, err := jpegHead(data)
	if err != nil {
		return err
	}
	if err := checkSize(size.X&^1, size.Y&^1); err != nil {
		return fmt.Errorf("yuv JPEG: %w", err)
	}
	if !hasTables {
		data = withHuffmanTables(data)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("yuv JPEG: %w", err)
	}
	return p.fromImage(img)
}

func (p *Picture) fromImage(img image.Image) error {
	b := img.Bounds()
	if err := p.Resize(b.Dx()&^1, b.Dy()&^1); err != nil {
		return err
	}
	switch src := img.(type) {
	case *image.YCbCr:
		limitPlane(p.Y, p.YStride, src.Y, src.YStride, p.Width, p.Height)
		p.chroma(src)
	case *image.Gray:
		limitPlane(p.Y, p.YStride, src.Pix, src.Stride, p.Width, p.Height)
		fill(p.Cb, 128)
		fill(p.Cr, 128)
	default:
		return fmt.Errorf("yuv JPEG with %T: %w", img, ErrFormat)
	}
	return nil
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// limitPlane copies luma from full to limited range: 0..255 to 16..235.
func limitPlane(dst []byte, dstStride int, src []byte, srcStride, w, h int) {
	for y := range h {
		from := src[y*srcStride:][:w]
		to := dst[y*dstStride:][:w]
		for x, v := range from {
			to[x] = uint8(16 + (uint32(v)*219+127)/255)
		}
	}
}

// chroma averages what the source has for each 2x2 block of pixels, and brings it to limited range: 16..240.
func (p *Picture) chroma(src *image.YCbCr) {
	across, down := subsampling(src.SubsampleRatio)
	for y := range p.Height / 2 {
		cb, cr := p.Cb[y*p.CStride:][:p.Width/2], p.Cr[y*p.CStride:][:p.Width/2]
		upper, lower := (2*y)>>down*src.CStride, (2*y+1)>>down*src.CStride
		for x := range cb {
			left, right := (2*x)>>across, (2*x+1)>>across
			cb[x] = limitChroma(src.Cb[upper+left], src.Cb[upper+right], src.Cb[lower+left], src.Cb[lower+right])
			cr[x] = limitChroma(src.Cr[upper+left], src.Cr[upper+right], src.Cr[lower+left], src.Cr[lower+right])
		}
	}
}

// subsampling returns by how many bits a pixel's column and row are shifted to find its chroma.
func subsampling(r image.YCbCrSubsampleRatio) (across, down int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 1, 0
	case image.YCbCrSubsampleRatio420:
		return 1, 1
	case image.YCbCrSubsampleRatio440:
		return 0, 1
	case image.YCbCrSubsampleRatio411:
		return 2, 0
	case image.YCbCrSubsampleRatio410:
		return 2, 1
	}
	return 0, 0
}

func limitChroma(a, b, c, d uint8) uint8 {
	const denominator, lift = 4 * 255, 256 // the lift keeps the dividend positive, so that rounding is even-handed
	off := int(a) + int(b) + int(c) + int(d) - 4*128
	return uint8(128 + (off*224+denominator/2+denominator*lift)/denominator - lift)
}

// JPEG markers (ITU-T T.81 table B.1).
const (
	markerSOI = 0xD8
	markerDHT = 0xC4
	markerSOS = 0xDA
)

// jpegHead walks the segments up to the first scan.
func jpegHead(data []byte) (size image.Point, hasTables bool, err error) {
	if len(data) < 4 || data[0] != 0xFF || data[1] != markerSOI {
		return size, false, fmt.Errorf("yuv JPEG without a start of image: %w", ErrFormat)
	}
	for i := 2; i+4 <= len(data); {
		if data[i] != 0xFF {
			return size, false, fmt.Errorf("yuv JPEG without a marker at byte %d: %w", i, ErrFormat)
		}
		marker := data[i+1]
		if marker == 0xFF { // a fill byte
			i++
			continue
		}
		length := int(binary.BigEndian.Uint16(data[i+2:]))
		switch {
		case marker == markerSOS:
			return size, hasTables, nil
		case marker == markerDHT:
			hasTables = true
		case marker >= 0xC0 && marker <= 0xC2 && i+9 <= len(data):
			size = image.Pt(int(binary.BigEndian.Uint16(data[i+7:])), int(binary.BigEndian.Uint16(data[i+5:])))
		}
		i += 2 + max(length, 2)
	}
	return size, false, fmt.Errorf("yuv JPEG without a scan: %w", ErrShort)
}

// withHuffmanTables returns a copy of the picture with the standard tables right behind its start.
func withHuffmanTables(data []byte) []byte {
	out := make([]byte, 0, len(data)+512)
	out = append(out, data[:2]...)
	out = appendHuffmanTables(out)
	return append(out, data[2:]...)
}

// appendHuffmanTables appends one DHT segment with the four typical tables.
func appendHuffmanTables(b []byte) []byte {
	start := len(b)
	b = append(b, 0xFF, markerDHT, 0, 0)
	for _, t := range []struct {
		class  byte
		counts [16]byte
		values []byte
	}{
		{0x00, [16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1}, []byte(dcValues)},
		{0x01, [16]byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, []byte(dcValues)},
		{0x10, [16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d}, []byte(acLuma)},
		{0x11, [16]byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77}, []byte(acChroma)},
	} {
		b = append(append(append(b, t.class), t.counts[:]...), t.values...)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start-2))
	return b
}

// The values of ITU-T T.81 tables K.3 to K.6.
const (
	dcValues = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"
	acLuma   = "\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\xa1\x08" +
		"\x23\x42\xb1\xc1\x15\x52\xd1\xf0\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28\x29\x2a" +
		"\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65" +
		"\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\x95\x96" +
		"\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5" +
		"\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2" +
		"\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa"
	acChroma = "\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\x13\x22\x32\x81\x08\x14\x42\x91" +
		"\xa1\xb1\xc1\x09\x23\x33\x52\xf0\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26\x27\x28" +
		"\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64" +
		"\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94" +
		"\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3" +
		"\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2" +
		"\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa"
)
