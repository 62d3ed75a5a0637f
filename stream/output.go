package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

// encoderRest is how long an encoder that gave an error is left alone while others are tried.
const encoderRest = 30 * time.Second

// output makes one stream out of the camera's pictures. What is not said to be atomic belongs to the goroutine of
// Source.Run, or to the output's worker while that encodes.
type output struct {
	name string
	src  *Source
	hub  *Hub
	mark stamper
	wish atomic.Pointer[Output] // the settings as they are now
	idr  atomic.Bool            // the next picture shall be an IDR

	pool     h264.Pool
	asm      assembler
	take     decimator
	lost     uint32      // pictures missing in front of the next one that is taken
	resting  []time.Time // for each encoder: not before
	retry    time.Time   // where none could be opened: not before
	encoding hal.Encoding
	in       hal.EncoderConfig // of encoding
	camera   hal.Mode          // that encoding was opened for
	applied  Output            // settings that encoding has
	scaled   yuv.Picture       // scratch
	packed   []byte            // scratch: NV12
}

func newOutput(s *Source, name string, c Output, o Options) *output {
	out := &output{name: name, src: s, mark: stamperFor(c.CaptureSEI, o), resting: make([]time.Time, len(o.Encoders))}
	out.wish.Store(&c)
	out.hub = NewHub(name, HubOptions{
		Info: Info{
			Width: c.Width, Height: c.Height, Rate: c.Rate(), BitrateBPS: int(c.Bitrate), GOP: c.GOP(c.Rate()),
		},
		demandChanged: s.poke,
	})
	if c.Stopped {
		out.hub.Stop()
	}
	return out
}

func (o *output) settings() Output { return *o.wish.Load() }

// open opens the first encoder that takes the pictures. shot tells the camera's format and size.
func (o *output) open(ctx context.Context, mode hal.Mode) error {
	want := o.settings()
	w, h := fit(mode.Width, mode.Height, want.Width, want.Height)
	rate := want.Rate()
	if mode.Rate.Float() > 0 && mode.Rate.Float() < rate.Float() {
		rate = mode.Rate
	}
	c := hal.EncoderConfig{Width: w, Height: h, Rate: rate, BitrateBPS: int(want.Bitrate), GOP: want.GOP(rate)}
	var faults []error
	for i, e := range o.src.encoders {
		if time.Now().Before(o.resting[i]) {
			continue
		}
		input, ok := chooseInput(e.Inputs(), mode, w, h)
		if !ok {
			continue
		}
		c.Input = input
		encoding, err := e.Open(ctx, c)
		if err != nil {
			o.resting[i] = time.Now().Add(encoderRest)
			faults = append(faults, fmt.Errorf("open encoder %s %v %dx%d: %w", e.Info().Name, input, w, h, err))
			continue
		}
		o.use(encoding, c, mode, e.Info().Name)
		o.applied = want
		return nil
	}
	if len(faults) == 0 {
		faults = append(faults, fmt.Errorf("open encoder for %s: %s is ready: %w", o.name, names(o.src.facts), ErrNoWay))
	}
	return errors.Join(faults...)
}

// use takes over an encoder that was opened.
func (o *output) use(encoding hal.Encoding, c hal.EncoderConfig, mode hal.Mode, name string) {
	o.encoding, o.in, o.camera = encoding, c, mode
	o.asm = assembler{pool: &o.pool, faults: &o.src.faults, mark: o.mark}
	o.take = newDecimator(mode.Rate, o.settings().Rate())
	o.idr.Store(false)
	info := Info{Width: c.Width, Height: c.Height, Rate: c.Rate, BitrateBPS: c.BitrateBPS, GOP: c.GOP, Encoder: name}
	var force func() bool
	if encoding.Control(hal.ForceIDR, 1) == nil { // the first picture is an IDR anyway: this only asks whether it can
		force = func() bool { o.idr.Store(true); return true }
	}
	o.hub.attach(info, force)
	o.src.log.Info("encoder opened", "stream", o.name, "encoder", name, "input", c.Input.String(),
		"width", c.Width, "height", c.Height, "bitrate_bps", c.BitrateBPS)
}

// chooseInput returns the format to feed an encoder with. What the camera delivers goes in as it is where encoder and
// size allow; else the picture is converted.
func chooseInput(inputs []hal.PixelFormat, mode hal.Mode, w, h int) (hal.PixelFormat, bool) {
	if mode.Format.Raw() && mode.Width == w && mode.Height == h && slices.Contains(inputs, mode.Format) {
		return mode.Format, true
	}
	for _, f := range []hal.PixelFormat{hal.YU12, hal.NV12} {
		if slices.Contains(inputs, f) {
			return f, true
		}
	}
	return 0, false
}

// fit returns the size of the camera's picture inside a box, both even: never larger than either, and not distorted.
func fit(w, h, boxW, boxH int) (int, int) {
	if w*boxH > h*boxW { // the picture is the wider one
		boxH = (h*boxW + w/2) / w
	} else {
		boxW = (w*boxH + h/2) / h
	}
	if boxW > w || boxH > h {
		boxW, boxH = w, h
	}
	return max(boxW&^1, 2), max(boxH&^1, 2)
}

// closeEncoder closes what is open.
func (o *output) closeEncoder() {
	if o.encoding == nil {
		return
	}
	if err := o.encoding.Close(); err != nil {
		o.src.log.Warn("encoder close", "stream", o.name, "error", err)
	}
	o.encoding = nil
	o.lost = 0
}

// encode makes an access unit of the picture and publishes it.
func (o *output) encode(ctx context.Context, raw hal.Frame) {
	start := time.Now()
	coded, err := o.encoding.Encode(ctx, raw)
	o.hub.encoded(time.Since(start))
	if err != nil {
		if ctx.Err() == nil {
			o.broken(err)
		}
		return
	}
	if len(coded.Data) == 0 {
		return // the pipeline fills, or rate control skipped: the next one tells
	}
	if au := o.asm.unit(coded); au != nil {
		o.hub.Publish(au)
	}
}

// apply gives the encoder the settings that changed and the wish for an IDR. One that can't change a setting while it
// runs is opened anew. It reports whether an encoder is open.
func (o *output) apply(ctx context.Context) bool {
	if want := o.settings(); want != o.applied {
		if err := o.retune(want); err != nil {
			o.src.log.Info("encoder opened anew for other settings", "stream", o.name, "reason", err)
			o.closeEncoder()
			if err := o.open(ctx, o.camera); err != nil {
				o.hub.detach(Failed, err.Error())
				return false
			}
		}
		o.applied = want
	}
	if o.idr.Swap(false) {
		if err := o.encoding.Control(hal.ForceIDR, 1); err != nil {
			o.src.log.Warn("encoder control", "stream", o.name, "control", hal.ForceIDR.String(), "error", err)
		}
	}
	return true
}

// retune changes what differs from the settings in use.
func (o *output) retune(want Output) error {
	if want.Bitrate != o.applied.Bitrate {
		o.in.BitrateBPS = int(want.Bitrate)
		if err := o.encoding.Control(hal.Bitrate, o.in.BitrateBPS); err != nil {
			return fmt.Errorf("set %v: %w", hal.Bitrate, err)
		}
	}
	if want.GOPSeconds != o.applied.GOPSeconds {
		o.in.GOP = want.GOP(o.in.Rate)
		if err := o.encoding.Control(hal.GOP, o.in.GOP); err != nil {
			return fmt.Errorf("set %v: %w", hal.GOP, err)
		}
	}
	o.hub.retune(o.in.BitrateBPS, o.in.GOP)
	return nil
}

// broken puts an encoder that gave an error aside: the next picture goes to the next one.
func (o *output) broken(err error) {
	o.src.faults.add(faultEncoder, 1)
	name := o.hub.Describe().Encoder
	for i, facts := range o.src.facts {
		if facts.Name == name {
			o.resting[i] = time.Now().Add(encoderRest)
		}
	}
	o.src.log.Warn("encoder failed", "stream", o.name, "encoder", name, "error", err)
	o.closeEncoder()
	o.hub.detach(Failed, fmt.Sprintf("encoder %s: %v", name, err))
}
