package haltest

import (
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/testcard"
	"github.com/ocellus/ocellus/hal"
)

// pictures makes raw frames of one format and size: the test card, with noise where bits are to be spent.
type pictures struct {
	config hal.EncoderConfig
	card   *testcard.Card
	planar []byte // the card, I420
	data   []byte // the frame
	noise  uint32
	noisy  bool
}

func newPictures(c hal.EncoderConfig) (*pictures, error) {
	card, err := testcard.New(testcard.Options{Width: c.Width, Height: c.Height, Name: "haltest"})
	if err != nil {
		return nil, err
	}
	p := &pictures{config: c, card: card, planar: make([]byte, card.Size()), noise: 1}
	switch c.Input {
	case hal.YU12, hal.NV12:
		p.data = make([]byte, c.Width*c.Height*3/2)
	case hal.YUYV:
		p.data = make([]byte, c.Width*c.Height*2)
	default:
		return nil, skipf("no test pictures of format %v", c.Input)
	}
	return p, nil
}

// pts is when picture n is said to be captured.
func (p *pictures) pts(n int) time.Duration {
	return time.Hour + time.Duration(n)*p.config.Rate.Interval()
}

// frame draws picture n. Its data are overwritten by the next one.
func (p *pictures) frame(n int) hal.Frame {
	pts := p.pts(n)
	p.card.Draw(p.planar, testcard.Stamp{Frame: uint32(n), CapturedNS: uint64(1_700_000_000*time.Second + pts)})
	if p.noisy {
		p.sprinkle()
	}
	w, h := p.config.Width, p.config.Height
	y, cb, cr := p.planar[:w*h], p.planar[w*h:w*h*5/4], p.planar[w*h*5/4:]
	switch p.config.Input {
	case hal.YU12:
		copy(p.data, p.planar)
	case hal.NV12:
		copy(p.data, y)
		for i := range cb {
			p.data[w*h+2*i], p.data[w*h+2*i+1] = cb[i], cr[i]
		}
	case hal.YUYV:
		for i := 0; i < w*h; i += 2 {
			c := i/w/2*(w/2) + i%w/2
			p.data[2*i], p.data[2*i+1], p.data[2*i+2], p.data[2*i+3] = y[i], cb[c], y[i+1], cr[c]
		}
	}
	return hal.Frame{Format: p.config.Input, Width: w, Height: h, Data: p.data, PTS: pts, Seq: uint32(n)}
}

// sprinkle moves each luma sample a little, so that no picture can be predicted from the one before.
func (p *pictures) sprinkle() {
	x := p.noise
	for i := range p.config.Width * p.config.Height {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p.planar[i] += byte(x&31) - 16
	}
	p.noise = x
}

// scribble overwrites a frame's data, as the next capture would.
func scribble(b []byte) {
	for i := range b {
		b[i] = 0xA5
	}
}

// describe is short for messages.
func describe(f hal.Frame) string {
	return fmt.Sprintf("access unit seq %d PTS %v lost %d of %d bytes", f.Seq, f.PTS, f.Lost, len(f.Data))
}
