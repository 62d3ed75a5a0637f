package testcard

import (
	"encoding/binary"
	"errors"
	"time"
)

// Stamp is what the barcode says of a picture.
type Stamp struct {
	// Frame numbers the picture as the camera counted it.
	Frame uint32
	// CapturedNS is the instant of capture, CLOCK_REALTIME in nanoseconds since 1970.
	CapturedNS uint64
}

// Time returns the instant of capture.
func (s Stamp) Time() time.Time { return time.Unix(0, int64(s.CapturedNS)) }

// ErrNoBarcode: the picture holds no barcode, or one that is too damaged to trust.
var ErrNoBarcode = errors.New("testcard: no barcode")

// The barcode is a field of 34 by 4 cells. It lies at fixed shares of the picture's width and height, so that a reader
// finds it in a picture of any size and after any scaling, even when width and height are scaled differently.
//
//	column 0      columns 1 to 32, most significant bit first         column 33
//	white         row 0: frame number, 32 bits                        black
//	black         row 1: capture time, upper 32 bits                  white
//	white         row 2: capture time, lower 32 bits                  black
//	black         row 3: magic 0x0CE1, CRC-16 of the 12 bytes above   white
//
// A one is white, a zero black. The outer columns are the finder: they tell black from white whatever the encoder did
// to contrast, and a picture without them is refused. The CRC is CRC-16/IBM-3740 (polynomial 0x1021, start 0xFFFF).
const (
	barcodeCols, barcodeRows = 34, 4
	barcodeMagic             = 0x0CE1
	barcodeBits              = 32 * barcodeRows

	cellWhite, cellBlack = 226, 20
	leastContrast        = 40 // of luma between the finder's black and white
)

// barcodeBox is where the field lies in a picture of this size.
func barcodeBox(w, h int) box {
	fw, fh := float64(w), float64(h)
	return box{fw / 16, fh * 31 / 36, fw * 15 / 16, fh * 35 / 36}
}

// finderWhite says whether a finder cell is white.
func finderWhite(col, row int) bool { return (col == 0) == (row%2 == 0) }

type field [barcodeRows]uint32

func (s Stamp) field() field {
	f := field{s.Frame, uint32(s.CapturedNS >> 32), uint32(s.CapturedNS)}
	f[3] = barcodeMagic<<16 | uint32(f.checksum())
	return f
}

func (f field) checksum() uint16 {
	var b [12]byte
	for i := range 3 {
		binary.BigEndian.PutUint32(b[4*i:], f[i])
	}
	return crc16(b[:])
}

func (f field) white(col, row int) bool {
	if col == 0 || col == barcodeCols-1 {
		return finderWhite(col, row)
	}
	return f[row]>>(32-col)&1 == 1
}

func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			carry := crc >> 15
			crc <<= 1
			crc ^= 0x1021 * carry
		}
	}
	return crc
}

// drawBarcode paints the field into the luma plane.
func (c canvas) drawBarcode(s Stamp) {
	b, f := barcodeBox(c.w, c.h), s.field()
	var edges [barcodeCols + 1]int
	for i := range edges {
		edges[i] = int(b.x0 + (b.x1-b.x0)*float64(i)/barcodeCols + 0.5)
	}
	for row := range barcodeRows {
		top := int(b.y0 + (b.y1-b.y0)*float64(row)/barcodeRows + 0.5)
		bottom := int(b.y0 + (b.y1-b.y0)*float64(row+1)/barcodeRows + 0.5)
		first := c.y[top*c.w : (top+1)*c.w]
		for col := range barcodeCols {
			level := byte(cellBlack)
			if f.white(col, row) {
				level = cellWhite
			}
			cell := first[edges[col]:edges[col+1]]
			for i := range cell {
				cell[i] = level
			}
		}
		for y := top + 1; y < bottom; y++ {
			copy(c.y[y*c.w+edges[0]:y*c.w+edges[barcodeCols]], first[edges[0]:edges[barcodeCols]])
		}
	}
}

// Read finds the barcode in a luma plane of w by h pixels, stride bytes from one row to the next. It returns
// ErrNoBarcode where there is none, and for a plane that is shorter than its size says.
func Read(luma []byte, w, h, stride int) (Stamp, error) {
	const least, most = 64, 1 << 14
	if w < least || h < least || w > most || h > most || stride < w || stride > 1<<16 ||
		len(luma) < stride*(h-1)+w {
		return Stamp{}, ErrNoBarcode
	}
	p := plane{luma, w, h, stride}
	for _, dy := range [...]float64{0, -0.2, 0.2} {
		for _, dx := range [...]float64{0, -0.2, 0.2} {
			if s, ok := p.read(dx, dy); ok {
				return s, nil
			}
		}
	}
	return Stamp{}, ErrNoBarcode
}

type plane struct {
	luma         []byte
	w, h, stride int
}

// read decodes the field as if it lay dx, dy cells beside its place.
func (p plane) read(dx, dy float64) (Stamp, bool) {
	var level [barcodeRows][barcodeCols]int
	var black, white int
	for row := range level {
		for col := range level[row] {
			level[row][col] = p.cell(float64(col)+dx, float64(row)+dy)
		}
		first, last := level[row][0], level[row][barcodeCols-1]
		if !finderWhite(0, row) {
			first, last = last, first
		}
		if first-last < leastContrast {
			return Stamp{}, false
		}
		white, black = white+first, black+last
	}
	threshold := (white + black) / (2 * barcodeRows)
	var f field
	for row := range level {
		for _, l := range level[row][1 : barcodeCols-1] {
			f[row] <<= 1
			if l > threshold {
				f[row] |= 1
			}
		}
	}
	if f[3] != barcodeMagic<<16|uint32(f.checksum()) {
		return Stamp{}, false
	}
	return Stamp{Frame: f[0], CapturedNS: uint64(f[1])<<32 | uint64(f[2])}, true
}

// cell is the mean luma of the middle of a cell, half of it in each direction.
func (p plane) cell(col, row float64) int {
	b := barcodeBox(p.w, p.h)
	cw, ch := (b.x1-b.x0)/barcodeCols, (b.y1-b.y0)/barcodeRows
	x0, x1 := inner(b.x0+col*cw, cw, p.w)
	y0, y1 := inner(b.y0+row*ch, ch, p.h)
	sum := 0
	for y := y0; y < y1; y++ {
		for _, v := range p.luma[y*p.stride+x0 : y*p.stride+x1] {
			sum += int(v)
		}
	}
	return sum / ((x1 - x0) * (y1 - y0))
}

// inner returns the samples of the middle half of a cell, one at least.
func inner(start, size float64, limit int) (from, to int) {
	from = min(max(int(start+size/4+0.5), 0), limit-1)
	to = min(max(int(start+size*3/4+0.5), from+1), limit)
	return from, to
}
