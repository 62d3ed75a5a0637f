package gpio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// bounce is how long a line has to be still before the kernel tells an edge.
const bounce = 10 * time.Millisecond

// Button is a button on a line. It implements hal.Button; one goroutine at a time waits for it.
type Button struct {
	name    string
	events  *os.File // gives gpio_v2_line_event structures
	pressed time.Duration
	down    bool
}

// OpenButton opens a button. A press that began before is none.
func OpenButton(l Line) (*Button, error) {
	f, err := l.open(flagInput|flagEdges, lineAttribute{id: attributeDebounce, value: debounceValue()})
	if err != nil {
		return nil, fmt.Errorf("open button %s: %w", l, err)
	}
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("open button %s: %w", l, err), f.Close())
	}
	return &Button{name: l.String(), events: f}, nil
}

// debounceValue puts the 32-bit period where the union of gpio_v2_line_attribute has it, whatever the byte order.
func debounceValue() uint64 {
	var b [8]byte
	binary.NativeEndian.PutUint32(b[:], uint32(bounce.Microseconds()))
	return binary.NativeEndian.Uint64(b[:])
}

// Pressed implements hal.Button.
func (b *Button) Pressed(ctx context.Context) error {
	for !b.down {
		if _, _, err := b.edge(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Next implements hal.Button.
func (b *Button) Next(ctx context.Context) (time.Duration, error) {
	for {
		if held, released, err := b.edge(ctx); err != nil || released {
			return held, err
		}
	}
}

// edge takes the next edge: the button goes down, or is released after it was held.
func (b *Button) edge(ctx context.Context) (held time.Duration, released bool, err error) {
	e, err := b.event(ctx)
	if err != nil {
		return 0, false, err
	}
	at := time.Duration(e.timestamp)
	switch {
	case e.id == edgeRising:
		b.pressed, b.down = at, true
	case e.id == edgeFalling && b.down:
		b.down = false
		return at - b.pressed, true, nil
	}
	return 0, false, nil
}

// event waits for an edge.
func (b *Button) event(ctx context.Context) (lineEvent, error) {
	for {
		if err := ctx.Err(); err != nil {
			return lineEvent{}, err
		}
		_ = b.events.SetReadDeadline(time.Time{}) // it works (OpenButton tried), or Read says what is wrong
		stop := context.AfterFunc(ctx, func() { _ = b.events.SetReadDeadline(time.Unix(1, 0)) })
		var raw [unsafe.Sizeof(lineEvent{})]byte
		n, err := b.events.Read(raw[:])
		stop()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // of this ctx, or a late one of the ctx before
		case err != nil:
			return lineEvent{}, b.fault(err)
		case n < len(raw):
			return lineEvent{}, b.fault(fmt.Errorf("event of %d bytes", n))
		default:
			return lineEvent{
				timestamp: binary.NativeEndian.Uint64(raw[0:]),
				id:        binary.NativeEndian.Uint32(raw[8:]),
			}, nil
		}
	}
}

func (b *Button) fault(err error) error {
	if errors.Is(err, os.ErrClosed) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("button %s: %w", b.name, hal.ErrClosed)
	}
	return fmt.Errorf("button %s: %w", b.name, err)
}

// Close implements hal.Button.
func (b *Button) Close() error {
	if err := b.events.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
