package haltest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// fakeEncoder keeps the law, unless its flaw says otherwise: its slices are the pictures' checksums.
type fakeEncoder struct{ flaw string }

// The size of the fake's pictures, and the parameter sets that say it.
const (
	fakeWidth, fakeHeight = 160, 120
	fakeSPS, fakePPS      = "6742c00d8c8d41422f2cd40404181e1108d4", "68ce3c80"
)

func (e *fakeEncoder) Info() hal.DeviceInfo { return hal.DeviceInfo{Name: "fake"} }

func (e *fakeEncoder) Inputs() []hal.PixelFormat {
	if e.flaw == "coded input" {
		return []hal.PixelFormat{hal.H264}
	}
	return []hal.PixelFormat{hal.YU12}
}

func (e *fakeEncoder) Open(_ context.Context, c hal.EncoderConfig) (hal.Encoding, error) {
	if e.flaw != "takes all" && (c.Input != hal.YU12 || c.Width != fakeWidth || c.Height != fakeHeight) {
		return nil, fmt.Errorf("fake: %w", hal.ErrUnsupported)
	}
	return &fakeEncoding{flaw: e.flaw, bitrate: c.BitrateBPS, gop: c.GOP, done: make(chan struct{})}, nil
}

type fakeEncoding struct {
	flaw string

	mu      sync.Mutex // guards the fields below
	bitrate int
	gop     int
	n       int // pictures since the last IDR
	force   bool
	lost    uint32
	data    []byte
	held    []hal.Frame // what is still inside
	closed  bool
	done    chan struct{}
	once    sync.Once
}

func (e *fakeEncoding) Encode(ctx context.Context, raw hal.Frame) (hal.Frame, error) {
	if ctx.Err() != nil && e.flaw != "deaf to context" {
		return hal.Frame{}, ctx.Err()
	}
	select {
	case <-e.done:
		if e.flaw == "deaf to close" {
			<-ctx.Done()
		}
		return hal.Frame{}, fmt.Errorf("fake: %w", hal.ErrClosed)
	case <-time.After(time.Millisecond):
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	whole := raw.Format == hal.YU12 && raw.Width == fakeWidth && raw.Height == fakeHeight && raw.Stride == 0 &&
		len(raw.Data) == fakeWidth*fakeHeight*3/2
	if !whole {
		e.lost++
		if e.flaw == "takes broken pictures" {
			return hal.Frame{}, nil
		}
		return hal.Frame{}, errors.New("broken picture")
	}
	out := e.code(raw)
	switch e.flaw {
	case "keeps pictures":
		e.held = append(e.held, out)
		if len(e.held) < 3 {
			return hal.Frame{}, nil
		}
		out, e.held = e.held[0], e.held[1:]
		out.Data = raw.Data[:len(out.Data)]
	case "swallows":
		if raw.Seq%5 == 3 {
			return hal.Frame{}, nil
		}
	}
	return out, nil
}

func (e *fakeEncoding) code(raw hal.Frame) hal.Frame {
	idr := e.n == 0 || e.n >= e.gop && e.flaw != "endless GOP" || e.force && e.flaw != "ignores force"
	if e.flaw == "starts with P" && raw.Seq < 5 {
		idr = false
	}
	e.n++
	params, _ := hex.DecodeString(fakeSPS)
	pps, _ := hex.DecodeString(fakePPS)
	slice := make([]byte, max(e.bitrate/25/8, 12))
	for i := range slice {
		slice[i] = 0x55
	}
	slice[0] = byte(h264.NALSlice)
	copy(slice[1:], fmt.Sprintf("%08x", crc32.ChecksumIEEE(raw.Data)))
	nalus := [][]byte{slice}
	if idr {
		slice[0], e.n, e.force = byte(h264.NALIDR), 1, false
		if e.flaw != "bare IDR" {
			nalus = [][]byte{params, pps, slice}
		}
	}
	e.data = h264.AppendAnnexB(e.data[:0], nalus...)
	if e.flaw == "aliases" {
		e.data = append(raw.Data[:0:len(raw.Data)], e.data...)
	}
	out := hal.Frame{Format: hal.H264, Width: fakeWidth, Height: fakeHeight, Data: e.data, PTS: raw.PTS, Seq: raw.Seq,
		Lost: raw.Lost + e.lost}
	e.lost = 0
	switch e.flaw {
	case "own clock":
		out.PTS = time.Duration(raw.Seq)
	case "forgets lost":
		out.Lost = 0
	}
	return out
}

func (e *fakeEncoding) Drain(context.Context) (hal.Frame, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return hal.Frame{}, fmt.Errorf("fake: %w", hal.ErrClosed)
	case e.flaw == "endless drain":
		return hal.Frame{Format: hal.H264, Width: fakeWidth, Height: fakeHeight, Data: e.data}, nil
	case len(e.held) == 0:
		return hal.Frame{}, io.EOF
	}
	out := e.held[0]
	e.held = e.held[1:]
	return out, nil
}

func (e *fakeEncoding) Control(c hal.Control, value int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("fake: %w", hal.ErrClosed)
	}
	switch c {
	case hal.Bitrate:
		if e.flaw != "ignores bitrate" {
			e.bitrate = value
		}
	case hal.GOP:
		if e.flaw != "ignores GOP" {
			e.gop = value
		}
	case hal.ForceIDR:
		e.force = true
	default:
		if e.flaw == "says yes" {
			return nil
		}
		return fmt.Errorf("fake: %w", hal.ErrUnsupported)
	}
	return nil
}

func (e *fakeEncoding) Close() error {
	e.once.Do(func() { close(e.done) })
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed && e.flaw == "close once" {
		return errors.New("closed already")
	}
	e.closed = true
	return nil
}

func TestSuiteCatchesEncoder(t *testing.T) {
	tests := []struct{ flaw, law string }{
		{"", ""},
		{"coded input", "inputs are sound"},
		{"takes all", "open refuses what it can't take"},
		{"own clock", "access units keep the facts of their pictures"},
		{"swallows", "access units keep the facts of their pictures"},
		{"endless drain", "access units keep the facts of their pictures"},
		{"starts with P", "the first access unit is an IDR"},
		{"bare IDR", "the first access unit is an IDR"},
		{"forgets lost", "lost pictures are told"},
		{"ignores force", "force IDR comes at once"},
		{"endless GOP", "the GOP is kept"},
		{"ignores GOP", "the GOP changes"},
		{"ignores bitrate", "the bitrate changes"},
		{"keeps pictures", "pictures are not kept"},
		{"aliases", "an access unit stays until the next call"},
		{"takes broken pictures", "a broken picture is an error and no end"},
		{"deaf to context", "encode heeds its context"},
		{"deaf to close", "close unblocks encode"},
		{"close once", "close is idempotent"},
		{"says yes", "controls are honest"},
	}
	o := EncoderOptions{Width: fakeWidth, Height: fakeHeight, Pictures: 8}
	for _, tt := range tests {
		t.Run(tt.flaw, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				found := findings(t.Context(), only(encoderLaws(o), tt.law), func() hal.Encoder { return &fakeEncoder{tt.flaw} }, nil)
				laws := broken(found)
				if tt.law == "" && len(laws) > 0 {
					t.Errorf("a lawful encoder breaks %v: %v", laws, found)
				}
				if tt.law != "" && !slices.Contains(laws, tt.law) {
					t.Errorf("broken laws %v, want %q", laws, tt.law)
				}
			})
		})
	}
}
