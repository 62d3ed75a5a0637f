package stream

import (
	"context"
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/yuv"
	"github.com/ocellus/ocellus/hal"
)

// studio turns the raw or MJPEG frames of one run into what each output's encoder takes. Outputs encode side by side,
// each in its own worker; the frame is lent until all are done.
type studio struct {
	run  *run
	mode hal.Mode    // of the frames as they come
	base yuv.Picture // scratch: the frame at hand, planar
	busy sync.WaitGroup
	due  []*output // scratch
	jobs []chan job
}

// job is one picture for one output.
type job struct {
	out   *output
	frame hal.Frame
	base  *yuv.Picture // nil where the output takes the frame as it is
}

// pictures streams a camera that delivers pictures.
func (r *run) pictures(ctx context.Context) error {
	st := &studio{run: r, mode: r.mode}
	var workers sync.WaitGroup
	for range len(r.src.outputs) - 1 { // one output is encoded by this goroutine
		jobs := make(chan job) // no capacity: a picture is handed over, never queued
		st.jobs = append(st.jobs, jobs)
		workers.Go(func() {
			for j := range jobs {
				j.do(ctx)
				st.busy.Done()
			}
		})
	}
	defer func() {
		for _, jobs := range st.jobs {
			close(jobs)
		}
		workers.Wait()
	}()
	for {
		f, err := r.next(ctx)
		if err != nil {
			return err
		}
		st.frame(ctx, f)
	}
}

// frame shows one frame to all who want it.
func (st *studio) frame(ctx context.Context, f hal.Frame) {
	src := st.run.src
	src.faults.add(faultLost, uint64(f.Lost))
	lost := f.Lost
	usable := st.check(f)
	if !usable {
		lost++
	}
	for _, o := range src.outputs {
		if o.encoding != nil {
			o.lost += lost
		}
	}
	if !usable {
		return
	}
	due, convert := st.outputsFor(ctx, f)
	looking := src.lookers.waiting()
	if len(due) == 0 && !looking {
		return
	}
	var base *yuv.Picture
	if convert || looking {
		if err := st.convert(f); err != nil {
			st.unreadable(f, err)
			for _, o := range due {
				o.lost++
			}
			return
		}
		base = &st.base
	}
	if looking {
		src.lookers.show(base, f.PTS)
	}
	st.encode(ctx, due, f, base)
}

// check reports whether the frame holds a whole picture, and notices another size.
func (st *studio) check(f hal.Frame) bool {
	faults := &st.run.src.faults
	switch {
	case len(f.Data) == 0:
		faults.add(faultEmpty, 1)
		return false
	case f.Corrupt:
		faults.add(faultCorrupt, 1)
		return false
	case f.Format != st.mode.Format:
		faults.add(faultFormat, 1)
		return false
	case len(f.Data) < wholeFrame(f):
		faults.add(faultTruncated, 1)
		return false
	}
	if f.Width != st.mode.Width || f.Height != st.mode.Height {
		faults.add(faultSize, 1)
		st.mode.Width, st.mode.Height = f.Width, f.Height
		for _, o := range st.run.src.outputs {
			o.closeEncoder() // the next picture opens one of the new size
		}
	}
	return true
}

// outputsFor returns the outputs that take the frame, their encoders open, and whether one of them needs it converted.
// An output that nobody wants any more is closed.
func (st *studio) outputsFor(ctx context.Context, f hal.Frame) (due []*output, convert bool) {
	now := time.Now()
	due = st.due[:0]
	for _, o := range st.run.src.outputs {
		if !o.hub.wanted(now, st.run.src.linger) {
			if o.encoding != nil {
				o.closeEncoder()
				o.hub.detach(Idle, "")
			}
			continue
		}
		if o.encoding == nil && !st.open(ctx, o, now) {
			continue
		}
		if !o.take.take(f.PTS) {
			continue
		}
		due = append(due, o)
		convert = convert || !o.direct(f)
	}
	st.due = due
	return due, convert
}

// open opens an encoder for the output, and says in its state why there is none.
func (st *studio) open(ctx context.Context, o *output, now time.Time) bool {
	if now.Before(o.retry) {
		return false
	}
	if err := o.open(ctx, st.mode); err != nil {
		o.retry = now.Add(time.Second)
		o.hub.setState(Failed, err.Error())
		return false
	}
	return true
}

// encode gives the frame to the outputs and waits until all have done with it.
func (st *studio) encode(ctx context.Context, due []*output, f hal.Frame, base *yuv.Picture) {
	for i, o := range due {
		j := job{out: o, frame: f, base: base}
		if o.direct(f) {
			j.base = nil
		}
		if i == len(due)-1 {
			j.do(ctx)
			continue
		}
		st.busy.Add(1)
		st.jobs[i] <- j
	}
	st.busy.Wait()
}

// direct reports whether the encoder takes the frame as it is.
func (o *output) direct(f hal.Frame) bool {
	return o.in.Input == f.Format && o.in.Width == f.Width && o.in.Height == f.Height
}

// do encodes one picture for one output.
func (j job) do(ctx context.Context) {
	o, raw := j.out, j.frame
	raw.Lost = o.lost
	o.lost = 0
	if !o.apply(ctx) {
		return
	}
	if j.base != nil {
		data, err := o.shape(j.base)
		if err != nil {
			o.broken(err)
			return
		}
		raw.Data, raw.Stride = data, 0
		raw.Format, raw.Width, raw.Height = o.in.Input, o.in.Width, o.in.Height
	}
	o.encode(ctx, raw)
}
