package stream

import (
	"bytes"
	"context"

	"github.com/ocellus/ocellus/codec/h264"
)

// Params are the parameter sets of a stream, NAL units without start codes. Nobody writes into them.
type Params struct {
	SPS, PPS   []byte
	Generation uint64 // as in Info
}

// paramCache holds the parameter sets that the last IDR carried.
type paramCache struct {
	sps, pps   []byte
	generation uint64
	known      bool
	closed     bool
	ready      chan struct{} // closed when they are known, or when the hub is closed
}

// learn takes over the parameter sets in front of an IDR where they differ from those known.
func (c *paramCache) learn(idr *h264.AccessUnit) {
	found := h264.FindParams(idr.NALUs)
	sps, pps := found.SPS, found.PPS
	if sps == nil || pps == nil || c.known && bytes.Equal(sps, c.sps) && bytes.Equal(pps, c.pps) {
		return
	}
	if !sameSPS(sps, c.sps) || !samePPS(pps, c.pps) {
		c.generation++
	}
	c.sps, c.pps = bytes.Clone(sps), bytes.Clone(pps)
	if !c.known && !c.closed {
		close(c.ready)
	}
	c.known = true
}

// sameSPS reports whether two SPS say the same, whatever their ids: OpenH264 gives each IDR new ones.
func sameSPS(a, b []byte) bool {
	x, errX := h264.ParseSPS(a)
	y, errY := h264.ParseSPS(b)
	if errX != nil || errY != nil {
		return bytes.Equal(a, b)
	}
	x.ID, y.ID = 0, 0
	return x == y
}

// samePPS is sameSPS for the other kind.
func samePPS(a, b []byte) bool {
	x, errX := h264.ParsePPS(a)
	y, errY := h264.ParsePPS(b)
	if errX != nil || errY != nil {
		return bytes.Equal(a, b)
	}
	x.ID, y.ID, x.SPSID, y.SPSID = 0, 0, 0, 0
	return x == y
}

// forget makes the next one who asks wait for the parameter sets of the next IDR.
func (c *paramCache) forget() {
	if c.known && !c.closed {
		c.known = false
		c.ready = make(chan struct{})
	}
}

func (c *paramCache) close() {
	if !c.known {
		close(c.ready)
	}
	c.closed = true
}

// wake lets those who wait look again.
func (c *paramCache) wake() {
	if !c.known && !c.closed {
		close(c.ready)
		c.ready = make(chan struct{})
	}
}

// Params returns the parameter sets of the stream, those of the last run where it is not running. Where none are known
// yet it waits for them, and counts as demand while it waits.
func (h *Hub) Params(ctx context.Context) (Params, error) {
	waiting := false
	for {
		h.mu.Lock()
		c, stopped := h.params, h.stopped
		h.mu.Unlock()
		switch {
		case c.closed:
			return Params{}, ErrClosed
		case stopped:
			return Params{}, ErrStopped
		case c.known:
			return Params{SPS: c.sps, PPS: c.pps, Generation: c.generation}, nil
		}
		if !waiting {
			waiting = true
			h.demand.raise()
			defer h.demand.lower()
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			return Params{}, ctx.Err()
		}
	}
}
