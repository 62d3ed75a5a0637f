package scene

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
)

// smear averages along a line of this length: the phone or the camera moved while the shutter was open.
func (c *Camera) smear(length, to float64) {
	if length < 0.5 {
		return
	}
	n := int(math.Ceil(2*length)) + 1
	dx, dy := math.Cos(to*math.Pi/180), math.Sin(to*math.Pi/180)
	clear(c.spare)
	for i := range n {
		t := (float64(i)/float64(n-1) - 0.5) * length
		c.shifted(t*dx, t*dy, 1/float32(n))
	}
	c.light, c.spare = c.spare, c.light
}

// shifted adds the picture, moved by a part of a pixel and weighted, to spare.
func (c *Camera) shifted(dx, dy float64, weight float32) {
	ix, iy := int(math.Floor(dx)), int(math.Floor(dy))
	fx, fy := float32(dx-float64(ix)), float32(dy-float64(iy))
	a, b := (1-fx)*(1-fy)*weight, fx*(1-fy)*weight
	d, e := (1-fx)*fy*weight, fx*fy*weight
	for y := range c.h {
		up := c.light[min(max(y+iy, 0), c.h-1)*c.w:][:c.w]
		low := c.light[min(max(y+iy+1, 0), c.h-1)*c.w:][:c.w]
		out := c.spare[y*c.w:][:c.w]
		for x := range out {
			l, r := min(max(x+ix, 0), c.w-1), min(max(x+ix+1, 0), c.w-1)
			out[x] += a*up[l] + b*up[r] + d*low[l] + e*low[r]
		}
	}
}

// soften blurs by a Gaussian.
func (c *Camera) soften(sigma float64) {
	if sigma < 0.2 {
		return
	}
	c.gaussian(c.light, c.light, sigma)
}

// bloom spreads a share of the light over its surroundings.
func (c *Camera) bloom(share, sigma float64) {
	if share <= 0 {
		return
	}
	wide := make([]float32, len(c.light))
	c.gaussian(wide, c.light, sigma)
	for i, v := range wide {
		c.light[i] += float32(share) * v
	}
}

// gaussian writes src, blurred, to dst; the two may be one.
func (c *Camera) gaussian(dst, src []float32, sigma float64) {
	r := int(math.Ceil(3 * sigma))
	kernel, sum := make([]float32, 2*r+1), float32(0)
	for i := range kernel {
		kernel[i] = float32(math.Exp(-float64((i-r)*(i-r)) / (2 * sigma * sigma)))
		sum += kernel[i]
	}
	for i := range kernel {
		kernel[i] /= sum
	}
	padded := make([]float32, c.w+2*r)
	for y := range c.h {
		row := src[y*c.w:][:c.w]
		for i := range padded {
			padded[i] = row[min(max(i-r, 0), c.w-1)]
		}
		out := c.spare[y*c.w:][:c.w]
		for x := range out {
			s := float32(0)
			for i, v := range padded[x : x+len(kernel)] {
				s += v * kernel[i]
			}
			out[x] = s
		}
	}
	for y := range c.h {
		out := dst[y*c.w:][:c.w]
		clear(out)
		for i, k := range kernel {
			row := c.spare[min(max(y+i-r, 0), c.h-1)*c.w:][:c.w]
			for x, v := range row {
				out[x] += k * v
			}
		}
	}
}

// sensor applies moire, shade, exposure and noise, and clips.
func (c *Camera) sensor(p Params, rng *rand.Rand) {
	if !c.gaussInit {
		table := rand.New(rand.NewPCG(1, 2))
		for i := range c.gauss {
			c.gauss[i] = float32(table.NormFloat64())
		}
		c.gaussInit = true
	}
	mx, my := 0.0, 0.0
	if p.Moire > 0 {
		mx = 2 * math.Pi / p.MoirePeriod * math.Cos(p.MoireTo*math.Pi/180)
		my = 2 * math.Pi / p.MoirePeriod * math.Sin(p.MoireTo*math.Pi/180)
	}
	sx, sy := math.Cos(p.MotionTo*math.Pi/180), math.Sin(p.MotionTo*math.Pi/180)
	noise := float32(p.Noise)
	for y := range c.h {
		row, out := c.light[y*c.w:][:c.w], c.luma[y*c.w:][:c.w]
		for x := range row {
			gain := p.Gain
			if p.Moire > 0 {
				gain *= 1 + p.Moire*math.Sin(mx*float64(x)+my*float64(y))
			}
			if p.Shade > 0 {
				gain *= 1 - p.Shade*(0.5+sx*(float64(x)/float64(c.w)-0.5)+sy*(float64(y)/float64(c.h)-0.5))
			}
			v := row[x]*float32(gain) + noise*c.gauss[rng.Uint32()&(1<<12-1)]
			out[x] = byte(min(max(v+0.5, 0), 255))
		}
	}
}

// compress sends the luma through a JPEG encoder and back.
func (c *Camera) compress(quality int) {
	img := &image.Gray{Pix: c.luma, Stride: c.w, Rect: image.Rect(0, 0, c.w, c.h)}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		panic(err) // a grey picture of this size always encodes
	}
	back, err := jpeg.Decode(&b)
	if err != nil {
		panic(err)
	}
	grey := back.(*image.Gray)
	for y := range c.h {
		copy(c.luma[y*c.w:][:c.w], grey.Pix[y*grey.Stride:])
	}
}
