package haltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/ocellus/ocellus/hal"
)

// SerialBench is a serial port with what its wires lead to.
type SerialBench struct {
	Port hal.Serial
	// Peer is the other end of the wires; closing it takes the port away, as pulling out a USB adapter does. Nil: nobody
	// is there.
	Peer io.ReadWriteCloser
}

// SerialOptions say what the suite has to know of a port.
type SerialOptions struct {
	// Skips names laws that are not to be checked, and why.
	Skips map[string]string
}

// Serial checks the law of hal.Serial and hal.Line.
func Serial(t *testing.T, open func(t *testing.T) SerialBench, o SerialOptions) {
	t.Helper()
	run(t, serialLaws(), open, o.Skips)
}

// SerialFindings checks what Serial checks.
func SerialFindings(ctx context.Context, open func() SerialBench, o SerialOptions) []Finding {
	return findings(ctx, serialLaws(), open, o.Skips)
}

// The speed at which the suite opens a port, and others that every port has.
const (
	usualBaud = 115200
	slowBaud  = 9600
	fastBaud  = 1_500_000
)

func serialLaws() []law[SerialBench] {
	return []law[SerialBench]{
		{"every byte goes through", everyByte},
		{"a second open is busy", secondOpen},
		{"open works after close", openAgain},
		{"the speed changes", speedChanges},
		{"close unblocks read", closeUnblocksLineRead},
		{"close unblocks write", closeUnblocksLineWrite},
		{"close is idempotent", closeLineTwice},
		{"a port that goes away is closed", goesAway},
	}
}

// end closes line and peer.
func (b SerialBench) end(l hal.Line) error {
	err := l.Close()
	if b.Peer != nil {
		err = errors.Join(err, b.Peer.Close())
	}
	return err
}

// onLine opens the port, checks something, and closes it. A law that needs a peer is skipped where there is none.
func (b SerialBench) onLine(needsPeer bool, check func(l hal.Line) error) error {
	if needsPeer && b.Peer == nil {
		return skipf("nobody is on the other end")
	}
	l, err := b.Port.Open(usualBaud)
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	return errors.Join(check(l), b.end(l))
}

func everyByte(_ context.Context, b SerialBench) error {
	sent := make([]byte, 0, 512)
	for i := range 256 { // what a terminal would take for a signal among them, once alone and once doubled
		sent = append(sent, byte(i), byte(i))
	}
	return b.onLine(true, func(l hal.Line) error {
		if err := passes(b.Peer, l, sent); err != nil {
			return fmt.Errorf("in: %w", err)
		}
		slices.Reverse(sent) // an echo of what came in is something else
		if err := passes(l, b.Peer, sent); err != nil {
			return fmt.Errorf("out: %w", err)
		}
		return nil
	})
}

// passes sends bytes and wants them on the other side.
func passes(from io.Writer, to io.Reader, sent []byte) error {
	got := make([]byte, len(sent))
	err := within(unblockWithin, "to send and to read", func() error {
		if _, err := from.Write(sent); err != nil {
			return err
		}
		_, err := io.ReadFull(to, got)
		return err
	})
	if err == nil && !bytes.Equal(got, sent) {
		err = fmt.Errorf("sent %x, got %x", sent, got)
	}
	return err
}

func secondOpen(_ context.Context, b SerialBench) error {
	return b.onLine(false, func(hal.Line) error {
		_, err := b.Port.Open(usualBaud)
		return wantError("Open of an open port", err, hal.ErrBusy)
	})
}

func openAgain(_ context.Context, b SerialBench) error {
	for range 2 {
		l, err := b.Port.Open(usualBaud)
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			return err
		}
	}
	return b.onLine(true, func(l hal.Line) error { return passes(b.Peer, l, []byte("again")) })
}

func speedChanges(_ context.Context, b SerialBench) error {
	if _, err := b.Port.Open(0); !errors.Is(err, hal.ErrUnsupported) {
		return wantError("Open at 0 baud", err, hal.ErrUnsupported)
	}
	return b.onLine(false, func(l hal.Line) error {
		for _, baud := range []int{slowBaud, fastBaud, usualBaud} {
			if err := l.SetSpeed(baud); err != nil {
				return fmt.Errorf("SetSpeed %d: %w", baud, err)
			}
		}
		if err := wantError("SetSpeed 1", l.SetSpeed(1), hal.ErrUnsupported); err != nil || b.Peer == nil {
			return err
		}
		return passes(b.Peer, l, []byte("at another speed"))
	})
}

func closeUnblocksLineRead(_ context.Context, b SerialBench) error {
	return b.onLine(false, func(l hal.Line) error {
		return closeUnblocks("Read", inAMoment(l.Close), func() error {
			_, err := l.Read(make([]byte, 1))
			return err
		})
	})
}

// closeUnblocksLineWrite fills what lies between the two ends until nothing more goes in.
func closeUnblocksLineWrite(_ context.Context, b SerialBench) error {
	return b.onLine(true, func(l hal.Line) error {
		return closeUnblocks("Write", inAMoment(l.Close), func() error {
			for {
				if _, err := l.Write(make([]byte, 4096)); err != nil {
					return err
				}
			}
		})
	})
}

func closeLineTwice(_ context.Context, b SerialBench) error {
	return b.onLine(false, func(l hal.Line) error {
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			return fmt.Errorf("Close: %w", err)
		}
		return within(promptly, "calls after Close", func() error {
			_, read := l.Read(make([]byte, 1))
			_, write := l.Write([]byte("x"))
			return errors.Join(wantError("Read after Close", read, hal.ErrClosed),
				wantError("Write after Close", write, hal.ErrClosed),
				wantError("SetSpeed after Close", l.SetSpeed(slowBaud), hal.ErrClosed))
		})
	})
}

func goesAway(_ context.Context, b SerialBench) error {
	return b.onLine(true, func(l hal.Line) error {
		if err := b.Peer.Close(); err != nil {
			return err
		}
		return within(unblockWithin, "Read of a port that went away", func() error {
			_, err := l.Read(make([]byte, 1))
			return wantError("Read of a port that went away", err, hal.ErrClosed)
		})
	})
}
