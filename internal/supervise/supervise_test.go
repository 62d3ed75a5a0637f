package supervise

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/hal"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func wait(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var died string
		s := New(slog.New(slog.NewTextHandler(&log, nil)), Options{Panicked: func(part, text string) { died = part + " " + text }})
		runs := 0
		s.Add(Part{Name: "shaky", Run: func(ctx context.Context) error {
			switch runs++; runs {
			case 1:
				return errors.New("first")
			case 2:
				panic("second")
			case 3:
				return nil
			}
			return wait(ctx)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		st := s.States()[0]
		if runs != 4 || !st.Up || st.Restarts != 3 || st.LastErr != "ended without being asked to" {
			t.Errorf("got %d runs, state %+v", runs, st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("got %v, want nil", err)
		}
		if !strings.HasPrefix(died, "shaky panic: second\ngoroutine ") {
			t.Errorf("got %q of the panic", died)
		}
		for _, want := range []string{"first", "panic: second", "supervise_test.go"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log lacks %q:\n%s", want, log.String())
			}
		}
	})
}

func TestKeepsFailing(t *testing.T) {
	t.Parallel()
	cause := errors.New("no socket")
	for name, c := range map[string]struct {
		lasting bool
		runFor  time.Duration // a run before its failure
		ends    bool
	}{
		"at once":            {runFor: 0, ends: true},
		"after a second":     {runFor: time.Second, ends: true},
		"after a good while": {runFor: 2 * time.Minute},
		"lasting":            {lasting: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := New(discard(), Options{})
				stopped := false
				s.Add(Part{Name: "other", Run: func(ctx context.Context) error {
					<-ctx.Done()
					stopped = true
					return nil
				}})
				s.Add(Part{Name: "bad", Lasting: c.lasting, Run: func(ctx context.Context) error {
					time.Sleep(c.runFor)
					return cause
				}})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				err := s.Run(ctx)
				if got := errors.Is(err, cause) && strings.Contains(err.Error(), "part bad: failed 8 times"); got != c.ends {
					t.Errorf("got %v, want the end of the process %v", err, c.ends)
				}
				if !stopped {
					t.Error("the other part still runs")
				}
				time.Sleep(time.Hour) // whatever outlived its StopWithin
			})
		})
	}
}

func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(discard(), Options{})
		release := make(chan struct{})
		s.Add(Part{Name: "deaf", Run: func(context.Context) error { <-release; return nil }})
		s.Add(Part{Name: "good", Run: wait})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := s.Run(ctx)
		if err == nil || err.Error() != "stop: deaf did not end within 1.8s" {
			t.Errorf("got %v, want it to name the deaf part", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("got %v, want less than 2 s", took)
		}
		close(release)
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	s := New(discard(), Options{})
	for failures, most := range map[int]time.Duration{1: 200 * time.Millisecond, 2: 400 * time.Millisecond,
		5:  3200 * time.Millisecond,
		20: 15 * time.Second, 1000: 15 * time.Second} {
		for range 50 {
			if got := s.backoff(failures); got > most || got < most*3/4 {
				t.Fatalf("after %d failures: got %v, want %v to %v", failures, got, most*3/4, most)
			}
		}
	}
}

type fakeDog struct {
	pets    atomic.Int32
	stopped atomic.Bool
}

func (d *fakeDog) Start(time.Duration) (time.Duration, error) { return 6 * time.Second, nil }
func (d *fakeDog) Pet() error                                 { d.pets.Add(1); return nil }
func (d *fakeDog) Stop() error                                { d.stopped.Store(true); return hal.ErrUnsupported }

func TestWatchdog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dog fakeDog
		var stuck atomic.Bool
		s := New(discard(), Options{})
		stop, err := s.WithWatchdog(&dog, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		s.Add(Part{Name: "p", Run: wait, Alive: func() error {
			if stuck.Load() {
				return errors.New("stuck")
			}
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(61 * time.Second)
		if got := dog.pets.Load(); got < 30 || got > 32 {
			t.Errorf("got %d pets in a minute, want one every third of 6 s", got)
		}
		if !s.Petted() {
			t.Error("not petted, as it says")
		}
		stuck.Store(true)
		before := dog.pets.Load()
		time.Sleep(time.Minute)
		if s.Petted() {
			t.Error("petted, as it says, while a part is stuck")
		}
		if got := dog.pets.Load() - before; got != 0 {
			t.Errorf("got %d pets while a part is stuck, want 0", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil || !dog.stopped.Load() {
			t.Errorf("stop: got %v, stopped %v", err, dog.stopped.Load())
		}
	})
}

func TestNotifier(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}
	n := NewNotifier(func(k string) string { return env[k] })
	if n.watchdog != 3*time.Second {
		t.Errorf("got %v, want 3 s", n.watchdog)
	}
	if err := n.Send("READY=1"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	got, err := conn.Read(buf)
	if err != nil || string(buf[:got]) != "READY=1" {
		t.Errorf("got %q, %v", buf[:got], err)
	}
	if err := NewNotifier(func(string) string { return "" }).Send("READY=1"); err != nil {
		t.Errorf("without systemd: got %v, want nil", err)
	}
}
