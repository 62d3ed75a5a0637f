package h264

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Clip is a recorded video that is read picture by picture: an Annex B file (OpenClip here) or an MP4 (codec/mp4).
type Clip interface {
	Info() ClipInfo
	// Next returns the next picture in decoding order, and io.EOF after the last one.
	Next() (Sample, error)
	// Rewind makes Next begin again at the first picture.
	Rewind() error
}

// ClipInfo is what is known of a clip before it is read.
type ClipInfo struct {
	Params           Params // the first ones
	Width, Height    int    // in pixels
	RateNum, RateDen uint32 // pictures per second
	// Interval is the time of one picture at that rate: the first picture of a second round comes so much after the
	// last one of the first.
	Interval time.Duration
}

// Sample is one access unit of a clip with its times, which count from the clip's beginning.
type Sample struct {
	NALUs [][]byte // valid until the next call of Next or Rewind
	// DTS is when the picture is due: DTS never goes back.
	DTS time.Duration
	// PTS is the picture's instant of capture. It is never after DTS, and before it by the reordering delay; with
	// B-frames it goes back and forth, without them it equals DTS.
	PTS time.Duration
	IDR bool
}

// ClipOptions says what an Annex B stream may leave open.
type ClipOptions struct {
	RateNum, RateDen uint32 // pictures per second where the VUI has none; 25/1 if 0
}

// prescan is how many pictures OpenClip looks at to learn parameter sets and picture order.
const prescan = 100

// OpenClip opens an Annex B byte stream. Its pictures are one interval of the VUI's rate apart; the order in which they
// are shown comes from their picture order count.
func OpenClip(r io.ReadSeeker, opt ClipOptions) (Clip, error) {
	c := &annexBClip{r: r}
	if err := c.Rewind(); err != nil {
		return nil, err
	}
	if err := c.learn(opt); err != nil {
		return nil, fmt.Errorf("open Annex B clip: %w", err)
	}
	return c, c.Rewind()
}

type annexBClip struct {
	r      io.ReadSeeker
	info   ClipInfo
	reader *Reader
	order  order
	step   int32 // picture order count from one frame to the next, in halves of a frame: mostly 2
	delay  int64 // the most halves of a frame that a picture is shown after its turn in decoding order
}

func (c *annexBClip) Info() ClipInfo { return c.info }

func (c *annexBClip) Rewind() error {
	if _, err := c.r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind clip: %w", err)
	}
	c.reader, c.order = NewReader(c.r), order{}
	return nil
}

func (c *annexBClip) Next() (Sample, error) {
	nalus, err := c.reader.Next()
	if err != nil {
		return Sample{}, err
	}
	p := c.order.place(nalus)
	pts := p.base + int64(p.poc)*2/int64(c.step) - c.delay
	if pts > p.turn || pts < p.turn-64 {
		pts = p.turn // the picture order count makes no sense here
	}
	return Sample{NALUs: nalus, DTS: c.halves(p.turn), PTS: c.halves(pts), IDR: HasIDR(nalus)}, nil
}

// halves turns halves of a frame into time without summing up rounding errors.
func (c *annexBClip) halves(n int64) time.Duration {
	den, num := int64(c.info.RateDen), 2*int64(c.info.RateNum)
	whole, rest := n/num, n%num
	return time.Duration(whole*den)*time.Second + time.Duration(rest*den*int64(time.Second)/num)
}

func (c *annexBClip) learn(opt ClipOptions) error {
	c.step = 2
	var ahead []place
	for range prescan {
		nalus, err := c.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		p := c.order.place(nalus)
		if p.poc%2 != 0 && !p.field {
			c.step = 1
		}
		ahead = append(ahead, p)
		if q := FindParams(nalus); !c.info.Params.Complete() {
			c.info.Params = c.info.Params.or(q).Clone()
		}
	}
	for _, p := range ahead {
		late := p.base + int64(p.poc)*2/int64(c.step) - p.turn
		if late <= 2*16 { // the largest decoded picture buffer
			c.delay = max(c.delay, late)
		}
	}
	return c.describe(opt)
}

func (c *annexBClip) describe(opt ClipOptions) error {
	if !c.info.Params.Complete() {
		return fmt.Errorf("no SPS and PPS in the first %d pictures", prescan)
	}
	sps, err := ParseSPS(c.info.Params.SPS)
	if err != nil {
		return err
	}
	num, den := sps.FrameRate()
	if num == 0 || num/den > 240 || den/num > 10 {
		num, den = opt.RateNum, opt.RateDen
	}
	if num == 0 || den == 0 {
		num, den = 25, 1
	}
	i := &c.info
	i.Width, i.Height, i.RateNum, i.RateDen = sps.Width, sps.Height, num, den
	i.Interval = c.halves(2)
	return nil
}

// or fills what is missing in p with what q has.
func (p Params) or(q Params) Params {
	if p.SPS == nil {
		p.SPS = q.SPS
	}
	if p.PPS == nil {
		p.PPS = q.PPS
	}
	return p
}
