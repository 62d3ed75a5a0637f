package ota

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ocellus/ocellus/codec/bootstate"
	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/statefile"
	"github.com/ocellus/ocellus/ota/bundle"
	"github.com/ocellus/ocellus/ota/manifest"
	"github.com/ocellus/ocellus/ota/trust"
)

var updateGolden = flag.Bool("update", false, "write testdata anew")

// TestUpdate: one update over each carrier, from the offer to the confirmation.
func TestUpdate(t *testing.T) {
	t.Parallel()
	floored := func(r *manifest.Release) { r.MinFloor = manifest.Version{Major: 1, Minor: 5} }
	for name, carrier := range map[string]func(*publisher) Source{
		"repository": func(p *publisher) Source { return p },
		"bundle":     func(p *publisher) Source { return bundle.NewReader(bytes.NewReader(p.bundled(t))) },
		"web":        func(p *publisher) Source { return p.served(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "2.0.0", floored)
			var told []Status
			c := newCamera(t, p.root, func(o *Options) { o.Notify = func(s Status) { told = append(told, s) } })
			running := c.slot(hal.SlotA, 1<<20)
			if err := c.engine.Install(t.Context(), carrier(p), Ask{}); err != nil {
				t.Fatal(err)
			}
			want := bootstate.Record{Confirmed: bootstate.A, Trial: bootstate.B, Tries: 3}
			if got := c.record(); got != want || c.told() != "armed 2.0.0" {
				t.Errorf("got %+v, %s, want %+v", got, c.told(), want)
			}
			if !bytes.Equal(c.slot(hal.SlotB, len(p.image)), p.image) || !bytes.Equal(c.slot(hal.SlotA, 1<<20), running) {
				t.Error("slot B is not the image, or slot A was touched")
			}
			if !steady(told) {
				t.Errorf("progress: %+v", told)
			}
			c.start(hal.SlotB, bootstate.OnTrial, "2.0.0")
			c.settle(t)
			want = bootstate.Record{Confirmed: bootstate.B, Floor: 1<<20 | 5<<12}
			if got := c.record(); got != want || c.told() != "confirmed 2.0.0" {
				t.Errorf("got %+v, %s, want %+v", got, c.told(), want)
			}
			if got := c.engine.keptFloor(); got != want.Floor {
				t.Errorf("floor in persist %x, want %x", got, want.Floor)
			}
			if got := c.engine.remembered().Trusted.Floor; !got.Equal(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("time floor %s", got)
			}
		})
	}
}

// steady reports whether progress went from 0 to 100 per cent, twice.
func steady(told []Status) bool {
	ends := 0
	for _, s := range told {
		if s.Percent == 100 && s.Bytes == s.Total {
			ends++
		}
	}
	return ends == 2
}

// settle lets the engine go on with what is under way, in bubble time.
func (c *camera) settle(t *testing.T) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if err := c.engine.settle(t.Context()); err != nil && !errors.Is(err, errReboot) {
			t.Error(err)
		}
		took = time.Since(begin)
	})
	return took
}

// TestTrial: what a trial makes of the facts of health.
func TestTrial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		before, after map[string]string
		told          string
		least         time.Duration
	}{
		{"all good", nil, nil, "confirmed 2.0.0", 20 * time.Second},
		{"one is bad now", nil, map[string]string{"rtsp": "no answer"}, "leaving 2.0.0 not healthy", 5 * time.Minute},
		{"one was bad before, too", map[string]string{"rtsp": "off"}, map[string]string{"rtsp": "off"}, "confirmed 2.0.0",
			20 * time.Second},
		{"another one is bad now", map[string]string{"rtsp": "off"}, map[string]string{"network": "no address"},
			"leaving 2.0.0 not healthy", 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "2.0.0", nil)
			cam := newCamera(t, p.root, nil)
			cam.wrong = c.before
			if err := cam.engine.Install(t.Context(), p, Ask{}); err != nil {
				t.Fatal(err)
			}
			cam.start(hal.SlotB, bootstate.OnTrial, "2.0.0")
			cam.wrong = c.after
			if took := cam.settle(t); took < c.least || took > c.least+2*lookAgain {
				t.Errorf("took %s, want %s", took, c.least)
			}
			if got := cam.told(); got != c.told {
				t.Fatalf("got %s, want %s", got, c.told)
			}
			if strings.HasPrefix(c.told, "confirmed") {
				return
			}
			want := bootstate.Record{Confirmed: bootstate.A, Failed: bootstate.B, Why: "health"}
			if got := cam.record(); got != want || len(cam.reboots) != 1 {
				t.Errorf("got %+v, %d reboots, want %+v", got, len(cam.reboots), want)
			}
			cam.start(hal.SlotA, bootstate.Confirmed, "1.0.0")
			if s := cam.engine.Status(); s.State != Failed || s.Running != "1.0.0" || s.Detail == "" {
				t.Errorf("got %+v", s)
			}
			err := cam.engine.Install(t.Context(), p, Ask{})
			if !errors.Is(err, FailedBefore) {
				t.Errorf("the same release again: got %v", err)
			}
			if err := cam.engine.Install(t.Context(), p, Ask{Owner: true}); err != nil {
				t.Errorf("the owner asks for it: %v", err)
			}
		})
	}
}

// TestRefuses: what is refused is refused before anything is written, for the same reason on every carrier.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		release func(*manifest.Release)
		spoil   func(*publisher)
		want    error
	}{
		{"another board", func(r *manifest.Release) { r.Compatible = []string{"other"} }, nil, manifest.OtherBoard},
		{"no board", func(r *manifest.Release) { r.Compatible = []string{} }, nil, manifest.EmptyCompatible},
		{"compatible with null", func(r *manifest.Release) { r.Compatible = nil }, nil, manifest.Malformed},
		{"not newer", func(r *manifest.Release) { r.Version.Major = 1 }, nil, manifest.NotNewer},
		{"halted", func(r *manifest.Release) { r.Rollout.Halt = true }, nil, manifest.Halted},
		{"a larger slot", func(r *manifest.Release) { r.Storage.SlotBytes = 10 << 30 }, nil, manifest.SmallSlot},
		{"bent targets", nil, func(p *publisher) { p.files["1.targets.json"][90] ^= 1 }, nil},
		{"bent timestamp", nil, func(p *publisher) { p.files["timestamp.json"][90] ^= 1 }, nil},
		{"unsigned", nil, func(p *publisher) {
			p.files["timestamp.json"] = []byte(`{"signed":{"_type":"timestamp","spec_version":"1.0"},"signatures":[]}`)
		}, trust.Malformed},
		{"another role", nil, func(p *publisher) { p.files["timestamp.json"] = p.files["1.snapshot.json"] }, trust.WrongRole},
		{"a script", nil, func(p *publisher) { p.files["timestamp.json"] = []byte("#!/bin/sh\nreboot\n") }, trust.Malformed},
		{"oversize", nil, func(p *publisher) { p.files["timestamp.json"] = make([]byte, 20<<10) }, trust.TooBig},
		{"no snapshot", nil, func(p *publisher) { delete(p.files, "1.snapshot.json") }, trust.Missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "2.0.0", c.release)
			cam := newCamera(t, p.root, nil)
			if c.spoil != nil {
				c.spoil(p)
			}
			before := cam.record()
			a, b := cam.slot(hal.SlotA, 1<<20), cam.slot(hal.SlotB, 1<<20)
			err := cam.engine.Install(t.Context(), p, Ask{})
			if err == nil || Why(err) == "" || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if s := cam.engine.Status(); s.State != Idle || s.Refused != Why(err) {
				t.Errorf("got %+v", s)
			}
			if !bytes.Equal(a, cam.slot(hal.SlotA, 1<<20)) || !bytes.Equal(b, cam.slot(hal.SlotB, 1<<20)) ||
				before != cam.record() {
				t.Error("something was written")
			}
			again := newCamera(t, p.root, nil).engine.Install(t.Context(), p.served(t), Ask{})
			if Why(again) != Why(err) {
				t.Errorf("on the web: got %v, want %v", again, err)
			}
			if c.name == "no snapshot" {
				return // a bundle without it can't be written by this test
			}
			again = newCamera(t, p.root, nil).engine.Install(t.Context(),
				bundle.NewReader(bytes.NewReader(p.bundled(t))), Ask{})
			if Why(again) != Why(err) {
				t.Errorf("in a bundle: got %v, want %v", again, err)
			}
		})
	}
}

// TestFloor: an older release than the floor is refused, whichever of the two places knows the floor.
func TestFloor(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"record", "persist"} {
		p := publish(t, "2.0.0", nil)
		cam := newCamera(t, p.root, func(o *Options) { o.Device.Running = manifest.Version{} })
		var err error
		if lost == "record" {
			err = cam.storage.Store(hal.Persist, []byte(`{"version":1,"version_floor":3145728,"identity":"x"}`))
		} else {
			err = cam.storage.Set(map[string]string{"st_floor": "300000"})
		}
		if err != nil {
			t.Fatal(err)
		}
		cam.start(hal.SlotA, bootstate.Confirmed, "1.0.0")
		if err := cam.engine.Install(t.Context(), p, Ask{Owner: true}); !errors.Is(err, manifest.BelowFloor) {
			t.Errorf("%s lost: got %v", lost, err)
		}
		if r, kept := cam.record().Floor, cam.engine.keptFloor(); r != 3<<20 || kept != 3<<20 {
			t.Errorf("%s lost: record %x, persist %x", lost, r, kept)
		}
	}
}

// TestSegments: a carrier that bends a MiB is asked for it again, but not for ever, and nothing bent is written.
func TestSegments(t *testing.T) {
	t.Parallel()
	flip := func(_ int64, r io.Reader) (io.Reader, error) {
		b, err := io.ReadAll(r)
		b[300_000] ^= 4
		return bytes.NewReader(b), err
	}
	for _, c := range []struct {
		name string
		bend func(p *publisher) func(int64, io.Reader) (io.Reader, error)
		want error
		asks int
	}{
		{"once", func(p *publisher) func(int64, io.Reader) (io.Reader, error) {
			return func(at int64, r io.Reader) (io.Reader, error) {
				if p.asked[at] > 1 {
					return r, nil
				}
				return flip(at, r)
			}
		}, nil, 2},
		{"always", func(*publisher) func(int64, io.Reader) (io.Reader, error) { return flip }, Segment, maxAsked},
		{"too short", func(*publisher) func(int64, io.Reader) (io.Reader, error) {
			return func(_ int64, r io.Reader) (io.Reader, error) { return io.LimitReader(r, 1000), nil }
		}, Carrier, 1},
		{"dead", func(*publisher) func(int64, io.Reader) (io.Reader, error) {
			return func(int64, io.Reader) (io.Reader, error) { return nil, errBroken }
		}, Carrier, 1},
	} {
		p := publish(t, "2.0.0", nil)
		p.bend = c.bend(p)
		cam := newCamera(t, p.root, nil)
		if err := cam.engine.Install(t.Context(), p, Ask{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if p.asked[0] != c.asks {
			t.Errorf("%s: asked %d times, want %d", c.name, p.asked[0], c.asks)
		}
		if s := cam.engine.Status(); c.want != nil && (s.State != Failed || s.Reason != c.want.(Reason)) {
			t.Errorf("%s: got %+v", c.name, s)
		}
		if c.want != nil && cam.record().Trial != "" {
			t.Errorf("%s: armed", c.name)
		}
	}
}

// TestResume: what a broken line left in the slot is not fetched again, except for the segments that hold the head.
func TestResume(t *testing.T) {
	t.Parallel()
	l := newLab()
	start, err := l.outOfBox()
	if err != nil {
		t.Fatal(err)
	}
	s := script{l: l, b: newBoard(start)}
	s.boot(true)
	s.install(1, 2*segmentSize+100, Carrier)
	var asked []int64
	s.asked = func(at int64) { asked = append(asked, at) }
	s.install(1, 0, nil)
	if s.err != nil || len(asked) != 2 || asked[0] != 0 || asked[1] != 2*segmentSize {
		t.Errorf("asked for %v, %v", asked, s.err)
	}
}

// TestCancel: whatever is under way can be ended, and what is armed can be taken back.
func TestCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := publish(t, "2.0.0", nil)
		cam := newCamera(t, p.root, nil)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p.bend = func(int64, io.Reader) (io.Reader, error) { return hanging{ctx}, nil }
		done := make(chan error, 1)
		go func() { done <- cam.engine.Install(ctx, p, Ask{}) }()
		synctest.Wait()
		if err := cam.engine.Install(ctx, p, Ask{}); !errors.Is(err, Busy) {
			t.Errorf("a second one: got %v", err)
		}
		if s := cam.engine.Status(); s.State != Writing || s.Phase != PhaseWriting {
			t.Errorf("got %+v", s)
		}
		stop()
		if err := <-done; !errors.Is(err, Cancelled) {
			t.Errorf("got %v", err)
		}
		if got := cam.told(); got != "idle 2.0.0 cancelled" {
			t.Errorf("got %s", got)
		}
		p.bend = nil
		if err := cam.engine.Install(t.Context(), p, Ask{}); err != nil {
			t.Fatal(err)
		}
		if err := cam.engine.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := cam.record(); got.Trial != "" || cam.told() != "idle 2.0.0 cancelled" {
			t.Errorf("got %+v, %s", got, cam.told())
		}
	})
}

// hanging is a line on which nothing comes.
type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

// TestRun: a camera looks now and then, installs what is for it, and waits for the moment to reboot.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := publish(t, "2.0.0", nil)
		var asked time.Time
		cam := newCamera(t, p.root, func(o *Options) {
			o.Source, o.Automatic = p, true
			o.Moment = func(ctx context.Context, s Status) error {
				asked = time.Now()
				select {
				case <-time.After(time.Hour):
				case <-ctx.Done():
				}
				return ctx.Err()
			}
		})
		begin := time.Now()
		if err := cam.engine.Run(t.Context()); !errors.Is(err, errReboot) {
			t.Fatal(err)
		}
		if looked := asked.Sub(begin); looked > firstLook || time.Since(asked) != time.Hour || cam.told() != "armed 2.0.0" {
			t.Errorf("looked after %s, rebooted %s later, %s", looked, time.Since(asked), cam.told())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := publish(t, "2.0.0", func(r *manifest.Release) { r.Rollout.Halt = true })
		looks := 0
		cam := newCamera(t, p.root, func(o *Options) { o.Source = counted{p, &looks} })
		ctx, cancel := context.WithTimeout(t.Context(), 10*24*time.Hour)
		defer cancel()
		if err := cam.engine.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if looks < 32 || looks > 54 || cam.engine.Status().Refused != Reason(manifest.Halted) {
			t.Errorf("%d looks in ten days, %+v", looks, cam.engine.Status())
		}
	})
}

type counted struct {
	Source
	looks *int
}

func (c counted) Metadata(ctx context.Context, f trust.File) ([]byte, error) {
	if f.Name == "timestamp.json" {
		*c.looks++
	}
	return c.Source.Metadata(ctx, f)
}

// TestGolden: what a release before this one wrote is read, and what this one writes is pinned.
func TestGolden(t *testing.T) {
	t.Parallel()
	p := publish(t, "2.0.0", nil)
	cam := newCamera(t, nil, nil)
	if err := cam.engine.store(func(m *memory) { m.Trusted.Root = p.root }); err != nil {
		t.Fatal(err)
	}
	if err := cam.engine.Install(t.Context(), p, Ask{}); err != nil {
		t.Fatal(err)
	}
	got, err := cam.state.Load()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "ota.json")
	if *updateGolden {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	m, _, err := statefile.New[memory](golden, memoryVersion).Load()
	if err != nil || m.State != Armed || m.Update.Version != "2.0.0" || m.Update.Slot != hal.SlotB {
		t.Errorf("got %+v, %v", m, err)
	}
}

// TestLostMemory: a slot on trial whose engine remembers nothing proves itself by all facts there are.
func TestLostMemory(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "{", `{"version":9,"state":"dancing"}`} {
		p := publish(t, "2.0.0", nil)
		cam := newCamera(t, p.root, nil)
		if err := cam.engine.Install(t.Context(), p, Ask{}); err != nil {
			t.Fatal(err)
		}
		if err := cam.state.Store([]byte(content)); err != nil {
			t.Fatal(err)
		}
		cam.wrong["rtsp"] = "no answer"
		cam.start(hal.SlotB, bootstate.OnTrial, "2.0.0")
		cam.settle(t)
		if got := cam.record(); got.Confirmed != bootstate.A || got.Failed != bootstate.B {
			t.Errorf("%q: got %+v, %s", content, got, cam.told())
		}
	}
}
