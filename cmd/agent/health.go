package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/ota"
	"github.com/ocellus/ocellus/stream"
)

// health looks at what a camera can see of its own health: the facts by which an update is judged.
type health struct {
	hub    *stream.Hub
	rtsp   string // HOST:PORT of this machine; empty: RTSP is off
	state  string // the directory whose disk must have room
	petted func() bool
	down   func() []string // parts that do not run
	broker func() error    // why there is no connection to the broker; nil: there is one, or none is wanted

	mu    sync.Mutex // guards all below
	until time.Time  // so long the pictures are wanted
	eye   bool       // somebody takes them
	blind context.CancelFunc
	ended sync.WaitGroup
}

// The measures of health.
const (
	wantedFor = 15 * time.Second // pictures are taken after they were last asked for
	firstLook = 12 * time.Second // for the first ones, from a closed camera to a rate that can be told
	minRate   = 0.5              // of the nominal picture rate
	minSpace  = 512 << 10        // bytes free on the disk of the state
	rtspWaits = 2 * time.Second
)

// facts looks once. Pictures exist only where somebody wants them, so it wants them for a while.
func (h *health) facts(ctx context.Context) []ota.Fact {
	return []ota.Fact{
		fact("frames", h.frames(ctx)),
		fact("rtsp", answersRTSP(ctx, h.rtsp)),
		fact("network", network()),
		fact("control", h.broker()),
		fact("space", space(h.state)),
		fact("watchdog", told(h.petted(), "there is none, or it is not petted")),
		fact("parts", partsDown(h.down())),
	}
}

func fact(name string, err error) ota.Fact {
	if err != nil {
		return ota.Fact{Name: name, Detail: err.Error()}
	}
	return ota.Fact{Name: name, OK: true}
}

func told(good bool, what string) error {
	if good {
		return nil
	}
	return errors.New(what)
}

func partsDown(names []string) error {
	return told(len(names) == 0, strings.Join(names, ", ")+" not running")
}

// frames says whether pictures come at the rate that they should.
func (h *health) frames(ctx context.Context) error {
	if h.hub == nil {
		return errors.New("no stream is on")
	}
	if h.hub.Stopped() {
		return nil // its owner's wish is no fault
	}
	fresh := h.look()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(firstLook); ; {
		err := rightRate(h.hub.Stats())
		if err == nil || !fresh || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func rightRate(s stream.HubStats) error {
	want := s.Info.Rate.Float() * minRate
	switch {
	case s.State != stream.Live:
		return fmt.Errorf("stream %s is %s %s", s.Name, s.State, s.Reason)
	case s.FPS == 0 || s.FPS < want:
		return fmt.Errorf("%.1f pictures/s, want %.1f", s.FPS, want)
	}
	return nil
}

// look wants pictures for a while, and reports whether nobody here did before.
func (h *health) look() (fresh bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = time.Now().Add(wantedFor)
	if h.eye {
		return false
	}
	h.eye = true
	ctx, cancel := context.WithCancel(context.Background())
	h.blind = cancel
	h.ended.Go(func() { h.take(ctx) })
	return true
}

// take takes pictures as long as they are wanted, and looks at none.
func (h *health) take(ctx context.Context) {
	s := h.hub.Subscribe(8)
	defer s.Close()
	for {
		until, wanted := h.wanted(ctx)
		if !wanted {
			return
		}
		waits, cancel := context.WithDeadline(ctx, until)
		au, err := s.Next(waits)
		cancel()
		switch {
		case err == nil:
			au.Release()
		case errors.Is(err, stream.ErrClosed):
			h.stop()
		}
	}
}

// wanted tells how long pictures are wanted, and notes the end of it.
func (h *health) wanted(ctx context.Context) (until time.Time, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eye = ctx.Err() == nil && time.Now().Before(h.until)
	return h.until, h.eye
}

// watching reports whether this eye is among those who watch.
func (h *health) watching() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.eye
}

// stop wants no pictures any more.
func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.blind != nil {
		h.blind()
	}
}

// answersRTSP asks the camera's own server what it can (RFC 2326 10.1), as any client does first.
func answersRTSP(ctx context.Context, address string) error {
	if address == "" {
		return errors.New("off")
	}
	conn, err := (&net.Dialer{Timeout: rtspWaits}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(rtspWaits))
	if _, err := fmt.Fprintf(conn, "OPTIONS rtsp://%s/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", address); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(conn, 256).ReadSlice('\n')
	if err != nil {
		return err
	}
	return told(strings.HasPrefix(string(line), "RTSP/1.0 200 "), fmt.Sprintf("answers %.40q", line))
}

func network() error { return told(ownAddress().IsValid(), "no address") }

func space(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return err
	}
	free := int64(s.Bavail) * int64(s.Bsize)
	return told(free >= minSpace, fmt.Sprintf("%d bytes free, want %d", free, int64(minSpace)))
}
