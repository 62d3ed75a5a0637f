package qr

import (
	"math"

	"github.com/ocellus/ocellus/codec/qrcode"
)

// equalizer turns measured luma into modules. The modules that every symbol has (finder, timing and alignment patterns)
// are a training sequence: least squares finds the filter over the surroundings of a module that best makes known
// modules of them, so that blur, motion, bloom and a grid that is slightly off undo themselves. Luma is taken at every
// half module; the filter sees those up to one module away.
type equalizer struct {
	luma   []float32 // (2n+2*pad+1) squared: at half modules, from pad half modules before the first module's middle
	side   int
	soft   []float32
	normal [taps * taps]float64
	right  [taps]float64
	coef   [taps]float64
	row    [taps]float64
}

const (
	pad  = 2             // half modules around the symbol
	span = 2*pad + 1     // half modules that the filter sees in each direction
	taps = span*span + 3 // and the slope of the light
)

// measure takes the luma of the grid.
func (q *equalizer) measure(e *eye, g *grid, size int) {
	q.side = 2*(size-1) + 1 + 2*pad
	q.luma = grow(q.luma, q.side*q.side)
	for j := range q.side {
		v := float32(j-pad)/2 + 0.5
		row := q.luma[j*q.side:][:q.side]
		for i := range row {
			x, y := g.at(float32(i-pad)/2+0.5, v)
			row[i] = e.at.sample(x, y)
		}
	}
	q.center(e.light)
}

// center takes the mean off and makes dark positive, so that the numbers stay small.
func (q *equalizer) center(light bool) {
	sum := float32(0)
	for _, v := range q.luma {
		sum += v
	}
	mean := sum / float32(len(q.luma))
	square := float32(0)
	for i, v := range q.luma {
		q.luma[i] = mean - v
		square += q.luma[i] * q.luma[i]
	}
	f := float32(1)
	if square > 0 {
		f = float32(1 / math.Sqrt(float64(square)/float64(len(q.luma))))
	}
	if light {
		f = -f
	}
	for i := range q.luma {
		q.luma[i] *= f
	}
}

// gather fills row with what the filter sees of module (x, y).
func (q *equalizer) gather(x, y, size int) {
	k := 0
	for dy := range span {
		in := q.luma[(2*y+dy)*q.side+2*x:][:span]
		for _, v := range in {
			q.row[k] = float64(v)
			k++
		}
	}
	q.row[k], q.row[k+1], q.row[k+2] = 1, float64(x)/float64(size)-0.5, float64(y)/float64(size)-0.5
}

// learn adds one module whose colour is known.
func (q *equalizer) learn(x, y, size int, want float64) {
	q.gather(x, y, size)
	for i := range taps {
		w := q.row[i]
		q.right[i] += w * want
		out := q.normal[i*taps : i*taps+i+1]
		for j := range out {
			out[j] += w * q.row[j]
		}
	}
}

// train finds the filter from the fixed modules and, where soft is given, from those that it is sure of.
func (q *equalizer) train(l *qrcode.Layout, soft []float32) bool {
	const (
		sure  = 0.4
		ridge = 0.02 // how much evidence a tap needs
	)
	clear(q.normal[:])
	clear(q.right[:])
	n, count := l.Size(), 0.0
	for y := range n {
		for x := range n {
			fixed, dark := l.Fixed(x, y)
			if !fixed {
				if soft == nil || off(soft[y*n+x]) <= sure {
					continue
				}
				dark = soft[y*n+x] > 0
			}
			q.learn(x, y, n, sign(dark))
			count++
		}
	}
	for i := range taps - 3 {
		q.normal[i*taps+i] += ridge * count
	}
	for i := taps - 3; i < taps; i++ {
		q.normal[i*taps+i] += 0.01 * count
	}
	q.right[span*span/2] += ridge * count // without evidence the filter is the module's own middle
	return q.solve()
}

func sign(dark bool) float64 {
	if dark {
		return 1
	}
	return -1
}

// solve factors the normal equations (Cholesky) and finds the coefficients.
func (q *equalizer) solve() bool {
	a := &q.normal
	for i := range taps {
		for j := 0; j <= i; j++ {
			s := a[i*taps+j]
			for k := range j {
				s -= a[i*taps+k] * a[j*taps+k]
			}
			if i != j {
				a[i*taps+j] = s / a[j*taps+j]
				continue
			}
			if s <= 1e-9 {
				return false
			}
			a[i*taps+i] = math.Sqrt(s)
		}
	}
	for i := range taps {
		s := q.right[i]
		for k := range i {
			s -= a[i*taps+k] * q.coef[k]
		}
		q.coef[i] = s / a[i*taps+i]
	}
	for i := taps - 1; i >= 0; i-- {
		s := q.coef[i]
		for k := i + 1; k < taps; k++ {
			s -= a[k*taps+i] * q.coef[k]
		}
		q.coef[i] = s / a[i*taps+i]
	}
	return true
}

// apply filters every module; above 0 is dark, and known modules come out near 1 and -1.
func (q *equalizer) apply(l *qrcode.Layout) []float32 {
	n := l.Size()
	q.soft = grow(q.soft, n*n)
	var coef [taps]float32
	for i, c := range q.coef {
		coef[i] = float32(c)
	}
	for y := range n {
		base := coef[taps-3] + coef[taps-1]*(float32(y)/float32(n)-0.5) - 0.5*coef[taps-2]
		slope := coef[taps-2] / float32(n)
		for x := range n {
			v := base + slope*float32(x)
			for dy := range span {
				in := q.luma[(2*y+dy)*q.side+2*x:][:span:span]
				c := coef[dy*span:][:span:span]
				v += in[0]*c[0] + in[1]*c[1] + in[2]*c[2] + in[3]*c[3] + in[4]*c[4]
			}
			q.soft[y*n+x] = v
		}
	}
	return q.soft
}
