package scene

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// cross is a symbol of 21 modules with one dark module in its middle.
type cross struct{}

func (cross) Size() int          { return 21 }
func (cross) Dark(x, y int) bool { return x == 10 && y == 10 }

// TestSamePictures: a picture follows from its Params, whatever was taken before.
func TestSamePictures(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	c := NewCamera(160, 120)
	for _, class := range Classes() {
		p := Draw(class, 0.4, 160, 120, rng)
		first := bytes.Clone(c.Take(cross{}, p))
		other := p
		other.NoiseSeed++
		if bytes.Equal(c.Take(cross{}, other), first) {
			t.Errorf("%s: other noise, same picture", class)
		}
		if !bytes.Equal(NewCamera(160, 120).Take(cross{}, p), first) {
			t.Errorf("%s: not the same picture again", class)
		}
	}
}

// TestCorner: what Corner says is where the module is painted, tilted and barreled as it may be.
func TestCorner(t *testing.T) {
	t.Parallel()
	const w, h = 320, 240
	c := NewCamera(w, h)
	p := Params{Width: w, Height: h, Side: 0.6, X: 0.45, Y: 0.55, Rotate: 25, Tilt: 30, TiltTo: 70, White: 200, Black: 20,
		Gain: 1, Barrel: 0.2}
	x, y := p.Corner(21, 10.5, 10.5)
	luma := c.Take(cross{}, p)
	var sx, sy, n float64
	for py := int(y) - 8; py <= int(y)+8; py++ {
		for px := int(x) - 8; px <= int(x)+8; px++ {
			d := 200 - float64(luma[py*w+px])
			sx, sy, n = sx+d*(float64(px)+0.5), sy+d*(float64(py)+0.5), n+d
		}
	}
	if off := math.Hypot(sx/n-x, sy/n-y); off > 0.2 {
		t.Errorf("the dark module is %.2f pixels from where Corner has it", off)
	}
}

// TestHoldIsOnePhone: the pictures of one scene differ by hand and noise alone.
func TestHoldIsOnePhone(t *testing.T) {
	t.Parallel()
	shots := Hold(0.25, 640, 480, 15, rand.New(rand.NewPCG(2, 2)))
	for i, p := range shots {
		moved := math.Hypot(p.X-shots[0].X, p.Y-shots[0].Y)
		if p.Seed != shots[0].Seed || moved > 0.2 || i > 0 && p.NoiseSeed == shots[i-1].NoiseSeed {
			t.Errorf("picture %d: %+v", i, p)
		}
	}
}
