package wifi

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// openAir makes an air, and the end of the pair through which an ear would hand packets on.
func openAir(t *testing.T) (*air, *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := New(Options{Interface: "none0"})
	a := &air{radio: r, heard: os.NewFile(uintptr(pair[0]), "heard")}
	a.channel.Store(6)
	to := os.NewFile(uintptr(pair[1]), "hearing")
	t.Cleanup(func() { _ = a.heard.Close(); _ = to.Close() })
	return a, to
}

// handOn writes a packet as an ear does.
func handOn(t *testing.T, to *os.File, at time.Duration, channel int, packet string) {
	t.Helper()
	b := append(make([]byte, heardHeader), packet...)
	putHeader(b, at, 1000, channel)
	if _, err := to.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	a, to := openAir(t)
	handOn(t, to, time.Second, 1, "of the channel before")
	handOn(t, to, 2*time.Second, 6, "first")
	for _, odd := range []string{"odd", string(make([]byte, heardHeader+maxHeard+1))} {
		if _, err := to.Write([]byte(odd)); err != nil {
			t.Fatal(err)
		}
	}
	handOn(t, to, 3*time.Second, 6, "second")
	for i, want := range []string{"first", "second"} {
		p, err := a.Next(t.Context())
		if err != nil || string(p.Bytes) != want || p.Length != 1000 || p.At != time.Duration(i+2)*time.Second {
			t.Errorf("got %+v, %v, want %s", p, err, want)
		}
	}
	for range 2 { // each context ends its own wait alone
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if p, err := a.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v, %v", p, err)
		}
		cancel()
		handOn(t, to, 4*time.Second, 6, "third")
		if p, err := a.Next(t.Context()); err != nil || string(p.Bytes) != "third" {
			t.Errorf("got %+v, %v, want third", p, err)
		}
	}
	_ = to.Close() // the ear ended
	if p, err := a.Next(t.Context()); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("got %+v, %v, want ErrClosed", p, err)
	}
}

// TestNextAllocatesNothing: a busy channel has hundreds of packets a second.
func TestNextAllocatesNothing(t *testing.T) {
	a, to := openAir(t)
	packet := append(make([]byte, heardHeader), "packet"...)
	putHeader(packet, 0, 1000, 6)
	ctx := t.Context()
	n := testing.AllocsPerRun(200, func() {
		if _, err := to.Write(packet); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Next(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkNext(b *testing.B) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		b.Fatal(err)
	}
	r, _ := New(Options{Interface: "none0"})
	a := &air{radio: r, heard: os.NewFile(uintptr(pair[0]), "heard")}
	to := os.NewFile(uintptr(pair[1]), "hearing")
	defer func() { _ = a.heard.Close(); _ = to.Close() }()
	packet := make([]byte, heardHeader+100)
	putHeader(packet, 0, 1000, 0)
	for b.Loop() {
		if _, err := to.Write(packet); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
