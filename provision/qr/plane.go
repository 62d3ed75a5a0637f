package qr

// plane is luma at one scale: each step of level halves width and height.
type plane struct {
	pix          []byte
	w, h, stride int
	level        int
	mean         []uint8 // of the blocks around each block, the threshold that the scan compares with
	bw, bh       int     // in blocks
}

// block is the side of the squares over which the mean is taken, in pixels of the plane.
const block = 8

// shrink fills p with the means of 2 by 2 pixels of src.
func (p *plane) shrink(src *plane) {
	p.w, p.h, p.level = src.w/2, src.h/2, src.level+1
	p.stride = p.w
	p.pix = grow(p.pix, p.w*p.h)
	for y := range p.h {
		up, low := src.pix[2*y*src.stride:][:2*p.w], src.pix[(2*y+1)*src.stride:][:2*p.w]
		out := p.pix[y*p.w:][:p.w]
		for x := range out {
			i := 2 * x
			a, b := up[i:i+2:i+2], low[i:i+2:i+2]
			out[x] = byte((uint(a[0]) + uint(a[1]) + uint(b[0]) + uint(b[1]) + 2) / 4)
		}
	}
}

// threshold computes the mean around every block of the plane, reach blocks to each side.
func (p *plane) threshold(reach int, scratch []uint32) []uint32 {
	p.bw, p.bh = (p.w+block-1)/block, (p.h+block-1)/block
	scratch = grow(scratch, (p.bw+1)*(p.bh+1))
	p.mean = grow(p.mean, p.bw*p.bh)
	clear(scratch[:p.bw+1])
	for by := range p.bh {
		y0 := min(by*block, p.h-block)
		above, row := scratch[by*(p.bw+1):], scratch[(by+1)*(p.bw+1):]
		sum := uint32(0)
		row[0] = 0
		for bx := range p.bw {
			sum += p.blockSum(min(bx*block, p.w-block), y0)
			row[bx+1] = above[bx+1] + sum
		}
	}
	for by := range p.bh {
		y0, y1 := max(by-reach, 0), min(by+reach+1, p.bh)
		low, high := scratch[y0*(p.bw+1):], scratch[y1*(p.bw+1):]
		for bx := range p.bw {
			x0, x1 := max(bx-reach, 0), min(bx+reach+1, p.bw)
			n := uint32((x1 - x0) * (y1 - y0))
			p.mean[by*p.bw+bx] = uint8((high[x1] - high[x0] - low[x1] + low[x0]) / n)
		}
	}
	return scratch
}

// blockSum returns the mean of one block.
func (p *plane) blockSum(x0, y0 int) uint32 {
	sum := uint32(0)
	for y := y0; y < y0+block; y++ {
		r := p.pix[y*p.stride+x0:][:block:block]
		sum += uint32(r[0]) + uint32(r[1]) + uint32(r[2]) + uint32(r[3]) +
			uint32(r[4]) + uint32(r[5]) + uint32(r[6]) + uint32(r[7])
	}
	return sum / (block * block)
}

// around returns the threshold at a pixel, between the middles of the blocks, in 256ths of a luma step.
func (p *plane) around(x, y int) int {
	fx, fy := max(x-block/2, 0), max(y-block/2, 0)
	bx, by := min(fx/block, p.bw-1), min(fy/block, p.bh-1)
	rx, ry := min(bx+1, p.bw-1), min(by+1, p.bh-1)
	tx, ty := fx%block, fy%block
	up := int(p.mean[by*p.bw+bx])*(block-tx) + int(p.mean[by*p.bw+rx])*tx
	low := int(p.mean[ry*p.bw+bx])*(block-tx) + int(p.mean[ry*p.bw+rx])*tx
	return (up*(block-ty) + low*ty) * 256 / (block * block)
}

// thresholdRow writes the threshold of every pixel of row y to out, in 256ths of a luma step.
func (p *plane) thresholdRow(y int, out []int32) {
	fy := max(y-block/2, 0)
	by := min(fy/block, p.bh-1)
	ry, ty := min(by+1, p.bh-1), int32(fy%block)
	up, low := p.mean[by*p.bw:][:p.bw], p.mean[ry*p.bw:][:p.bw]
	at := func(bx int) int32 { return (int32(up[bx])*(block-ty) + int32(low[bx])*ty) * (256 / block) }
	left := at(0)
	x := 0
	for ; x < min(block/2, p.w); x++ {
		out[x] = left
	}
	for bx := 0; x < p.w; bx++ {
		right := at(min(bx+1, p.bw-1))
		step, v := (right-left)/block, left
		for end := min(x+block, p.w); x < end; x++ {
			out[x] = v
			v += step
		}
		left = right
	}
}

// sample returns the luma between the pixels around (x, y) of the plane; what lies outside is as the border.
func (p *plane) sample(x, y float32) float32 {
	if !(x >= 0 && y >= 0 && x < float32(p.w-1) && y < float32(p.h-1)) {
		if x != x || y != y { // a pose that nobody could hold
			return 0
		}
		x, y = min(max(x, 0), float32(p.w-1)-0.01), min(max(y, 0), float32(p.h-1)-0.01)
	}
	ix, iy := int(x), int(y)
	fx, fy := x-float32(ix), y-float32(iy)
	i := iy*p.stride + ix
	up, low := p.pix[i:i+2:i+2], p.pix[i+p.stride:][:2:2]
	a, c := float32(up[0]), float32(low[0])
	a += fx * (float32(up[1]) - a)
	c += fx * (float32(low[1]) - c)
	return a + fy*(c-a)
}

// grow returns a slice of n elements, the old memory where it is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
