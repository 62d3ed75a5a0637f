package gpio

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// lamp is a line that remembers.
type lamp struct {
	mu       sync.Mutex // guards the fields below
	set      []bool
	released int
}

func (l *lamp) led() *LED {
	return &LED{name: "test/0", set: func(on bool) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.set = append(l.set, on)
		return nil
	}, release: func() error { l.released++; return nil }}
}

// take returns what was set since it was asked last.
func (l *lamp) take() []bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	set := l.set
	l.set = nil
	return set
}

// The laws count goroutines and descriptors of the process, so these tests are not parallel.

func TestLEDLaw(t *testing.T) {
	haltest.LED(t, func(*testing.T) hal.LED { return (&lamp{}).led() }, nil)
}

// kernelButton does what the kernel does with a line: it debounces, and tells edges with their times.
type kernelButton struct {
	events *os.File
	now    time.Duration
}

func (k *kernelButton) press(held time.Duration) error {
	if held < bounce {
		return nil
	}
	if err := k.edge(edgeRising); err != nil {
		return err
	}
	k.now += held
	return k.edge(edgeFalling)
}

func (k *kernelButton) edge(id uint32) error {
	var raw [48]byte
	binary.NativeEndian.PutUint64(raw[0:], uint64(k.now))
	binary.NativeEndian.PutUint32(raw[8:], id)
	_, err := k.events.Write(raw[:])
	return err
}

func newButton(t *testing.T) (*Button, *kernelButton) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return &Button{name: "test/1", events: r}, &kernelButton{events: w, now: time.Hour}
}

func TestButtonLaw(t *testing.T) {
	var kernel *kernelButton
	haltest.Button(t, func(t *testing.T) hal.Button {
		var b *Button
		b, kernel = newButton(t)
		return b
	}, haltest.ButtonOptions{Press: func(held time.Duration) error { return kernel.press(held) }})
}

func TestBlink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var line lamp
		led := line.led()
		for _, c := range []struct {
			show hal.Pattern
			wait time.Duration
			want []bool
		}{
			{hal.Ready, time.Minute, []bool{true}},
			{hal.Live, 1600 * time.Millisecond, []bool{true, false, true, false}},
			{hal.Trouble, 350 * time.Millisecond, []bool{true, false, true, false}},
			{hal.Listening, 1750 * time.Millisecond, []bool{true, false, true}},
			{hal.BadPassword, 2600 * time.Millisecond, []bool{true, false, true, false, true, false, true}},
			{hal.Unclaimed, 1850 * time.Millisecond, []bool{true, false, true, false, true}},
			{hal.Off, time.Minute, []bool{false}},
		} {
			if err := led.Show(c.show); err != nil {
				t.Fatal(err)
			}
			<-time.After(c.wait)
			if got := line.take(); !slices.Equal(got, c.want) {
				t.Errorf("%s for %v: got %v, want %v", c.show, c.wait, got, c.want)
			}
		}
		if err := errors.Join(led.Show(hal.Trouble), led.Close()); err != nil {
			t.Error(err)
		}
		<-time.After(time.Minute)
		if got := line.take(); !slices.Equal(got, []bool{true, false}) || line.released != 1 {
			t.Errorf("closed: got %v, released %d times", got, line.released)
		}
	})
}

// TestOddEdges: a release whose press was lost or came before is no press.
func TestOddEdges(t *testing.T) {
	t.Parallel()
	b, kernel := newButton(t)
	defer func() { _ = b.Close() }()
	for _, e := range []struct {
		id    uint32
		after time.Duration
	}{{edgeFalling, 0}, {edgeRising, 0}, {7, time.Second}, {edgeRising, time.Second}, {edgeFalling, 300 * time.Millisecond}} {
		kernel.now += e.after
		if err := kernel.edge(e.id); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := b.Next(t.Context()); held != 300*time.Millisecond || err != nil {
		t.Errorf("got %v, %v, want 300ms", held, err)
	}
}

func TestOpenWithoutChip(t *testing.T) {
	t.Parallel()
	l := Line{Chip: "no such chip"}
	if _, err := OpenLED(l); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("LED: got %v, want ErrClosed", err)
	}
	if _, err := OpenButton(l); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("button: got %v, want ErrClosed", err)
	}
}
