package yuv

import "math"

// Scale fills p, w by h pixels, with src made smaller or larger: exactly halved sizes by the mean of 2x2 samples, all
// others by area (smaller) or bilinear (larger) weights, along each axis on its own. p must not be src.
func (p *Picture) Scale(src *Picture, w, h int) error {
	if err := checkSize(src.Width, src.Height); err != nil {
		return err
	}
	if err := p.Resize(w, h); err != nil {
		return err
	}
	if w == src.Width && h == src.Height {
		copyPlane(p.Y, p.YStride, src.Y, src.YStride, w, h)
		copyPlane(p.Cb, p.CStride, src.Cb, src.CStride, w/2, h/2)
		copyPlane(p.Cr, p.CStride, src.Cr, src.CStride, w/2, h/2)
		return nil
	}
	luma, chroma := &p.scaler.planes[0], &p.scaler.planes[1]
	p.scaler.plane(luma, p.Y, p.YStride, w, h, src.Y, src.YStride, src.Width, src.Height)
	p.scaler.plane(chroma, p.Cb, p.CStride, w/2, h/2, src.Cb, src.CStride, src.Width/2, src.Height/2)
	p.scaler.plane(chroma, p.Cr, p.CStride, w/2, h/2, src.Cr, src.CStride, src.Width/2, src.Height/2)
	return nil
}

// scaler keeps what the next picture of the same sizes needs again: the weights for luma and chroma, and one row.
type scaler struct {
	planes [2]struct{ across, down weights }
	row    []uint32
}

func (s *scaler) plane(k *struct{ across, down weights }, dst []byte, dstStride, w, h int,
	src []byte, srcStride, srcW, srcH int) {
	if srcW == 2*w && srcH == 2*h {
		halve(dst, dstStride, w, h, src, srcStride)
		return
	}
	k.across.set(srcW, w)
	k.down.set(srcH, h)
	if cap(s.row) < srcW {
		s.row = make([]uint32, srcW)
	}
	row := s.row[:srcW]
	for y := range h {
		first, share := k.down.at(y)
		mixRows(row, src[first*srcStride:], srcStride, share)
		k.across.apply(dst[y*dstStride:][:w], row)
	}
}

// mixRows writes the weighted sum of neighbouring rows, 1 standing for one<<8 / one.
func mixRows(row []uint32, src []byte, stride int, share []uint32) {
	for i, k := range share {
		from := src[i*stride:][:len(row)]
		if i == 0 {
			for x, v := range from {
				row[x] = uint32(v) * k
			}
			continue
		}
		for x, v := range from {
			row[x] += uint32(v) * k
		}
	}
	for x, v := range row {
		row[x] = v >> rowShift
	}
}

// Weights add up to one. A row of sums keeps eight bits behind the point.
const (
	oneShift = 14
	one      = 1 << oneShift
	rowShift = oneShift - 8
)

// weights say for each sample of a line how much of which samples of another line it takes.
type weights struct {
	from, to, taps int
	first          []int32
	share          []uint32 // taps a sample
}

func (k *weights) at(i int) (first int, share []uint32) {
	return int(k.first[i]), k.share[i*k.taps:][:k.taps]
}

func (k *weights) apply(dst []byte, row []uint32) {
	for x := range dst {
		first, share := k.at(x)
		sum := uint32(1 << (oneShift + 7))
		for i, v := range row[first:][:len(share)] {
			sum += v * share[i]
		}
		dst[x] = uint8(sum >> (oneShift + 8))
	}
}

// set computes the weights from one length to another, unless they are there already.
func (k *weights) set(from, to int) {
	if k.from == from && k.to == to {
		return
	}
	k.from, k.to = from, to
	step := float64(from) / float64(to)
	reach := max(step, 1) / 2 // of a sample to each side of its middle: its own area, or up to the neighbours' middles
	k.taps = min(int(math.Ceil(2*reach))+1, from)
	k.first, k.share = make([]int32, to), make([]uint32, to*k.taps)
	for i := range to {
		middle := (float64(i) + 0.5) * step
		first := min(max(int(math.Floor(middle-reach)), 0), from-k.taps)
		k.first[i] = int32(first)
		share(k.share[i*k.taps:][:k.taps], float64(first), middle-reach, middle+reach)
	}
}

// share divides one among the samples from first on, by how much of each lies between left and right.
func share(out []uint32, first, left, right float64) {
	total, largest := uint32(0), 0
	for i := range out {
		start := first + float64(i)
		part := max(min(start+1, right)-max(start, left), 0) / (right - left)
		out[i] = uint32(part*one + 0.5)
		total += out[i]
		if out[i] > out[largest] {
			largest = i
		}
	}
	out[largest] += one - total // what rounding took, or lies beyond the edge
}

// halve writes the mean of each 2x2 block.
func halve(dst []byte, dstStride, w, h int, src []byte, srcStride int) {
	for y := range h {
		to := dst[y*dstStride:][:w]
		upper, lower := src[2*y*srcStride:][:2*w], src[(2*y+1)*srcStride:][:2*w]
		for x := range to {
			i := 2 * x
			a, b := upper[i:i+2:i+2], lower[i:i+2:i+2]
			to[x] = uint8((uint(a[0]) + uint(a[1]) + uint(b[0]) + uint(b[1]) + 2) / 4)
		}
	}
}
