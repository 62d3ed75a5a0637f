package provision

import (
	"context"
	"errors"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
	"github.com/ocellus/ocellus/provision/qr"
)

const (
	lookEvery  = 200 * time.Millisecond // five pictures a second; a held code needs two
	lookBudget = 100 * time.Millisecond // of one picture, on a slow board
	hintFor    = 2 * time.Second
	codeFault  = 5 * time.Second // the lamp shows that a code is of no use
	lensRetry  = 2 * time.Second
)

// errOwned ends an input: the camera has an owner.
var errOwned = errors.New("the camera has an owner")

// viewer looks for codes. It is for one goroutine.
type viewer struct {
	e     *Engine
	found chan<- Offer
	eye   qr.Reader
	reader
	light bracket
	last  qr.Hint
	fault string // the text of the last code that was of no use: told once
}

// watch looks through the lens until ctx ends or the camera has an owner.
func (e *Engine) watch(ctx context.Context, found chan<- Offer) {
	v := &viewer{e: e, found: found, reader: reader{label: e.o.Label}, light: bracket{expose: e.o.Lens.Expose}}
	defer v.light.end()
	for {
		err := e.o.Lens.Look(ctx, func(luma []byte, w, h, stride int) error {
			return v.see(ctx, luma, w, h, stride)
		})
		switch {
		case ctx.Err() != nil, errors.Is(err, errOwned):
			return
		case errors.Is(err, hal.ErrUnsupported):
			e.o.Log.Warn("no codes are read: the camera has no pictures to look at", "err", err)
			return
		}
		e.o.Log.Warn("lens failed, trying again", "err", err)
		if monotime.Pause(ctx, lensRetry) != nil {
			return
		}
	}
}

// see looks at one picture. Whose the camera is, is asked before anything is parsed.
func (v *viewer) see(ctx context.Context, luma []byte, w, h, stride int) error {
	if v.e.o.Owner.Claimed() {
		return errOwned
	}
	begin := time.Now()
	v.eye.More = func() bool { return time.Since(begin) < lookBudget }
	r := v.eye.Read(luma, w, h, stride)
	if err := v.light.next(begin, len(r.Texts) > 0); err != nil {
		v.e.o.Log.Warn("exposure not changed", "err", err)
	}
	if r.Hint != qr.None && r.Hint == v.last {
		v.e.coach(r.Hint, hintFor)
	}
	v.last = r.Hint
	for _, text := range r.Texts {
		o, err := v.read(text)
		if err != nil {
			v.refuse(text, err)
			continue
		}
		select {
		case v.found <- o:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return monotime.Pause(ctx, lookEvery-time.Since(begin))
}

// refuse tells what is wrong with a code that is meant for cameras. A poster on the wall is nobody's business.
func (v *viewer) refuse(text string, err error) {
	why := codeReason(err)
	if why == NoReason {
		return
	}
	v.e.fail(why, codeFault)
	if text != v.fault {
		v.fault = text
		v.e.o.Log.Warn("code of no use", "reason", why, "err", err)
	}
}
