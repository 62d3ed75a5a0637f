package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// run is one start of the camera, from Start to Close.
type run struct {
	src     *Source
	modes   []hal.Mode
	plan    Plan
	capture hal.Capture
	mode    hal.Mode // what the driver really chose
	started time.Time
	w, h    int // of the camera's own H.264, as its parameter sets say; used by loop alone

	frames    atomic.Uint64
	last      atomic.Int64 // when the last frame came, after started
	ended     atomic.Int64 // when the watch ended the run, after started; 0: not yet
	decodable atomic.Bool  // of the camera's own H.264: an access unit could be given out
}

// serve opens the camera in the mode of the moment, streams, and closes it. It returns how many frames came and why it
// ended.
func (s *Source) serve(ctx context.Context) (frames uint64, err error) {
	for _, o := range s.outputs {
		if o.hub.wanted(time.Now(), s.linger) {
			o.hub.starting()
		}
	}
	r, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { r.watch(ctx, cancel) })
	cancel(r.loop(ctx)) // the first cause stays
	watch.Wait()
	r.ended.CompareAndSwap(0, int64(time.Since(r.started)))
	for _, o := range s.outputs {
		o.closeEncoder()
	}
	if err := r.capture.Close(); err != nil {
		s.log.Warn("camera close", "error", err)
	}
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
	return r.frames.Load(), context.Cause(ctx)
}

// open asks the camera for its modes and starts it in the best one.
func (s *Source) open(ctx context.Context) (*run, error) {
	path := s.camera.Info().Path
	modes, err := s.camera.Modes(ctx)
	if err != nil {
		return nil, fmt.Errorf("modes of %s: %w", path, err)
	}
	path = s.camera.Info().Path // it may be another camera than the last time
	plan, err := Choose(s.question(modes, time.Now()))
	if err != nil {
		return nil, err
	}
	capture, err := s.camera.Start(ctx, plan.Mode)
	if err != nil {
		return nil, fmt.Errorf("start %s %v: %w", path, plan.Mode, err)
	}
	r := &run{src: s, modes: modes, plan: plan, capture: capture, mode: capture.Mode(), started: time.Now()}
	s.mu.Lock()
	s.modes, s.current = modes, r
	s.starts++
	s.mu.Unlock()
	s.log.Info("camera started", "camera", path, "mode", r.mode.String(), "why", plan.Why)
	return r, nil
}

// loop moves frames until something ends it.
func (r *run) loop(ctx context.Context) error {
	switch f := r.mode.Format; {
	case f.Coded():
		return r.straight(ctx)
	case picture(f):
		return r.pictures(ctx)
	}
	return fmt.Errorf("start %s: the driver chose %v: %w", r.src.camera.Info().Path, r.mode, hal.ErrUnsupported)
}

// next returns the camera's next frame, its PTS put right.
func (r *run) next(ctx context.Context) (hal.Frame, error) {
	f, err := r.capture.Next(ctx)
	if err != nil {
		return f, err
	}
	t := &r.src.timeline
	if !t.goesBack(f.PTS) || !reordered(f) {
		var late bool
		if f.PTS, late = t.forward(f.PTS); late {
			r.src.faults.add(faultLate, 1)
		}
	}
	r.frames.Add(1)
	r.last.Store(int64(time.Since(r.started)))
	return f, nil
}

// direct is the work on a camera that codes by itself.
type direct struct {
	run *run
	asm assembler
}

// straight publishes the camera's own H.264, the same access units on every output: marked as the first one wants it.
func (r *run) straight(ctx context.Context) error {
	r.tuneAll()
	info, force := r.straightInfo(), r.forceIDR()
	d := direct{r, assembler{pool: &r.src.pool, faults: &r.src.faults}}
	d.asm.mark = r.src.outputs[0].mark
	for _, o := range r.src.outputs {
		o.hub.attach(info, force)
	}
	for {
		if err := d.step(ctx); err != nil {
			return err
		}
	}
}

// step moves one frame from the camera to the hubs. It allocates nothing.
func (d *direct) step(ctx context.Context) error {
	f, err := d.run.next(ctx)
	if err != nil {
		return err
	}
	au := d.asm.unit(f)
	if d.asm.changed {
		d.asm.changed = false
		d.run.changedParams(&d.asm)
	}
	if au != nil {
		d.run.decodable.Store(true)
		d.run.publish(au)
	}
	return nil
}

// publish hands an access unit to every hub. Pictures that are missing in front of it make decoders show damage until
// the next IDR, so that is asked for.
func (r *run) publish(au *h264.AccessUnit) {
	damaged := au.Lost > 0 && !au.IDR
	for _, o := range r.src.outputs {
		o.hub.Publish(au.Retain())
	}
	au.Release()
	if damaged && len(r.src.outputs) > 0 {
		r.src.outputs[0].hub.RequestIDR()
	}
}

// changedParams takes over the picture size that new parameter sets tell.
func (r *run) changedParams(a *assembler) {
	if len(a.sets.sps) == 0 {
		return
	}
	sps, err := h264.ParseSPS(a.sets.sps[len(a.sets.sps)-1].nalu)
	if err != nil || sps.Width == r.w && sps.Height == r.h {
		return
	}
	if r.w != 0 {
		r.src.faults.add(faultSize, 1)
	}
	r.w, r.h = sps.Width, sps.Height
	for _, o := range r.src.outputs {
		o.hub.resize(sps.Width, sps.Height)
	}
}

// lead is the output whose settings a camera that codes by itself follows: the first that is wanted.
func (r *run) lead() Output {
	now := time.Now()
	for _, o := range r.src.outputs {
		if o.hub.wanted(now, r.src.linger) {
			return o.settings()
		}
	}
	if len(r.src.outputs) > 0 {
		return r.src.outputs[0].settings()
	}
	return DefaultConfig().Main
}

func (r *run) straightInfo() Info {
	lead := r.lead()
	return Info{
		Width: r.mode.Width, Height: r.mode.Height, Rate: r.mode.Rate,
		BitrateBPS: int(lead.Bitrate), GOP: lead.GOP(r.mode.Rate), Encoder: r.src.camera.Info().Name,
	}
}

// tuneAll gives a camera that codes by itself its settings. One that lacks a knob goes on as it likes.
func (r *run) tuneAll() {
	lead := r.lead()
	for _, c := range []hal.Control{hal.Bitrate, hal.GOP} {
		if err := r.tune(c, lead); err != nil && !errors.Is(err, hal.ErrUnsupported) {
			r.src.log.Warn("camera control", "error", err)
		}
	}
}

func (r *run) tune(c hal.Control, o Output) error {
	value := int(o.Bitrate)
	if c == hal.GOP {
		value = o.GOP(r.mode.Rate)
	}
	if err := r.capture.Control(c, value); err != nil {
		return fmt.Errorf("set %v of %s: %w", c, r.src.camera.Info().Path, err)
	}
	return nil
}

// forceIDR returns the function that asks the camera for an IDR, nil where it can't. Finding that out asks for one,
// which is what a capture that begins in the middle of a GOP needs anyway.
func (r *run) forceIDR() func() bool {
	if r.capture.Control(hal.ForceIDR, 1) != nil {
		return nil
	}
	return func() bool { return r.capture.Control(hal.ForceIDR, 1) == nil }
}
