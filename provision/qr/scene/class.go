package scene

import "math/rand/v2"

// Class is one kind of trouble.
type Class string

// The classes. All but Clean take Clean and make one thing worse; Real mixes what a hand, a room and a cheap camera do.
const (
	Clean    Class = "clean"
	Turned   Class = "turned 30-60"
	Tilt25   Class = "tilt 25"
	Tilt40   Class = "tilt 40"
	Blur1    Class = "blur 1 px"
	Blur2    Class = "blur 2 px"
	Motion   Class = "motion 6 px"
	Noisy    Class = "noise 20"
	LowLight Class = "low light"
	Exposed  Class = "over-exposed"
	Moired   Class = "moire"
	Barreled Class = "barrel"
	Squeezed Class = "JPEG 25"
	Real     Class = "real"
)

// Classes returns all of them, in the order of the tables.
func Classes() []Class {
	return []Class{Clean, Turned, Tilt25, Tilt40, Blur1, Blur2, Motion, Noisy, LowLight, Exposed, Moired, Barreled,
		Squeezed, Real}
}

// Sides returns the shares of the picture's height that a code's side takes in the tables.
func Sides() []float64 { return []float64{0.15, 0.20, 0.25, 0.30, 0.40, 0.60} }

// between draws evenly from a to b.
func between(rng *rand.Rand, a, b float64) float64 { return a + (b-a)*rng.Float64() }

// Draw makes the Params of one picture of a class.
func Draw(class Class, side float64, width, height int, rng *rand.Rand) Params {
	p := clean(side, width, height, rng)
	switch class {
	case Turned:
		p.Rotate = between(rng, 30, 60)
	case Tilt25:
		p.Tilt = 25
	case Tilt40:
		p.Tilt = 40
	case Blur1:
		p.Blur = 1
	case Blur2:
		p.Blur = 2
	case Motion:
		p.Motion = 6
	case Noisy:
		p.Noise = 20
	case LowLight:
		p.White, p.Black, p.Noise = between(rng, 55, 110), between(rng, 15, 25), between(rng, 6, 10)
	case Exposed:
		p.Gain, p.Bloom, p.BloomSigma = between(rng, 1.5, 2.5), between(rng, 0.2, 0.45), between(rng, 4, 9)
		p.Blur = between(rng, 0.8, 1.4)
	case Moired:
		p.Moire, p.MoirePeriod, p.MoireTo = between(rng, 0.15, 0.3), between(rng, 3, 9), between(rng, 0, 180)
	case Barreled:
		p.Barrel = between(rng, 0.12, 0.25)
	case Squeezed:
		p.JPEG = 25
	case Real:
		p = real(p, rng)
	}
	return p
}

func clean(side float64, width, height int, rng *rand.Rand) Params {
	room := min(0.5-side/2, 0.2) * 0.8
	return Params{
		Width: width, Height: height, Side: side,
		X: 0.5 + between(rng, -room, room), Y: 0.5 + between(rng, -room, room),
		Rotate: between(rng, -8, 8), Tilt: between(rng, 0, 6), TiltTo: between(rng, 0, 180),
		White: between(rng, 190, 225), Black: between(rng, 15, 40),
		Blur: between(rng, 0.4, 0.7), MotionTo: between(rng, 0, 180),
		Gain: 1, Noise: between(rng, 1, 4), JPEG: 90, Seed: rng.Uint64(),
	}
}

// real mixes a hand, a room and a cheap camera.
func real(p Params, rng *rand.Rand) Params {
	p.Rotate, p.Tilt = between(rng, -20, 20), between(rng, 0, 25)
	p.White, p.Black = between(rng, 120, 240), between(rng, 15, 55)
	p.Blur, p.Motion = between(rng, 0.5, 1.3), between(rng, 0, 3)
	p.Shade, p.Noise = between(rng, 0, 0.4), between(rng, 3, 10)
	p.Barrel, p.JPEG = between(rng, 0, 0.1), 50+rng.IntN(40)
	if rng.IntN(3) == 0 {
		p.Gain, p.Bloom, p.BloomSigma = between(rng, 1.1, 1.7), between(rng, 0.05, 0.25), between(rng, 3, 7)
	}
	if rng.IntN(3) == 0 {
		p.Moire, p.MoirePeriod, p.MoireTo = between(rng, 0.03, 0.15), between(rng, 3, 9), between(rng, 0, 180)
	}
	return p
}

// Hold makes the pictures of somebody who holds a phone before the camera: one draw of Real whose place, turn and tilt
// wander with the hand, whose smear comes and goes with it, and whose noise is new in every picture.
func Hold(side float64, width, height, frames int, rng *rand.Rand) []Params {
	base := Draw(Real, side, width, height, rng)
	out := make([]Params, frames)
	var dx, dy, turn, tilt float64
	for i := range out {
		dx, dy = 0.8*dx+0.008*rng.NormFloat64(), 0.8*dy+0.008*rng.NormFloat64()
		turn, tilt = 0.9*turn+1.2*rng.NormFloat64(), 0.9*tilt+1.2*rng.NormFloat64()
		p := base
		p.X, p.Y, p.Rotate, p.Tilt = p.X+dx, p.Y+dy, p.Rotate+turn, max(p.Tilt+tilt, 0)
		p.Motion, p.MotionTo = max(0, 2+1.5*rng.NormFloat64()), between(rng, 0, 180)
		p.Blur = max(0.4, base.Blur+0.2*rng.NormFloat64())
		p.Seed = base.Seed
		p.NoiseSeed = rng.Uint64()
		out[i] = p
	}
	return out
}
