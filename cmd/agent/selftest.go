package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/internal/monotime"
)

// verdict is how a part of the hardware did. The words are wire format.
type verdict string

const (
	passed verdict = "pass"
	failed verdict = "fail"
	absent verdict = "absent" // the board has none
)

// tested is one part's result.
type tested struct {
	Part   string  `json:"part"`
	Result verdict `json:"result"`
	Text   string  `json:"text"` // for a person: what was seen, or what to look at
}

// selfTest is the answer to selftest.
type selfTest struct {
	Passed bool     `json:"passed"` // nothing failed
	Parts  []tested `json:"parts"`
}

// testArgs say how.
type testArgs struct {
	Press bool `json:"press,omitempty"` // wait for a person to press the button
}

// How long the parts of the test take, at most.
const (
	lampShows  = time.Second
	pressWaits = 20 * time.Second
	lensWaits  = 10 * time.Second
	radioWaits = 20 * time.Second
)

// absence is why a part can't be tested: there is none.
type absence string

func (a absence) Error() string { return string(a) }

// selftest looks at each part of the hardware, one after the other. The streams go on.
func (a *agent) selftest(ctx context.Context, args testArgs) (any, error) {
	s := selfTest{Passed: true}
	for _, row := range []struct {
		part string
		test func(ctx context.Context) (string, error)
	}{
		{"lamp", a.testLamp},
		{"button", func(ctx context.Context) (string, error) { return a.testButton(ctx, args.Press) }},
		{"camera", a.testCamera},
		{"radio", a.testRadio},
		{"storage", a.testStorage},
		{"vault", a.testVault},
		{"watchdog", a.testWatchdog},
	} {
		text, err := row.test(ctx)
		t := tested{row.part, passed, text}
		var none absence
		switch {
		case errors.As(err, &none):
			t.Result, t.Text = absent, string(none)
		case err != nil:
			t.Result, t.Text, s.Passed = failed, a.hidden.Text(err.Error()), false
		}
		s.Parts = append(s.Parts, t)
	}
	return s, ctx.Err()
}

func (a *agent) testLamp(ctx context.Context) (string, error) {
	if a.control == nil || a.control.lamp == nil {
		return "", absence("this board has no lamp")
	}
	if err := a.control.lamp.showOver(hal.Unread); err != nil {
		return "", err
	}
	_ = monotime.Pause(ctx, lampShows) // the lamp goes back whoever asked is gone or not
	return "it was told to flicker for a second: did it?", a.control.lamp.showOver("")
}

func (a *agent) testButton(ctx context.Context, press bool) (string, error) {
	if !a.pressable {
		return "", absence("this board has no button")
	}
	for _, p := range a.parts() {
		if p.Name == "button" && !p.Up {
			return "", fmt.Errorf("nobody listens to it: %s", p.LastErr)
		}
	}
	if !press {
		return "it is listened to; ask with press=true and press it to be sure", nil
	}
	select { // a press of before
	case <-a.pressed:
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, pressWaits)
	defer cancel()
	select {
	case <-a.pressed:
		return "it was pressed", nil
	case <-ctx.Done():
		return "", fmt.Errorf("nobody pressed it within %v", pressWaits)
	}
}

func (a *agent) testCamera(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lensWaits)
	defer cancel()
	jpeg, _, err := a.source.Snapshot(ctx, 0)
	if err != nil {
		return "", err
	}
	s := a.source.Stats()
	return fmt.Sprintf("%s takes pictures: %v, %d bytes as JPEG", s.Camera.Name, s.Mode, len(jpeg)), nil
}

// testRadio scans. The names of networks are nobody's business here.
func (a *agent) testRadio(ctx context.Context) (string, error) {
	if a.network == nil {
		return "", absence("this camera has no Wi-Fi of its own")
	}
	ctx, cancel := context.WithTimeout(ctx, radioWaits)
	defer cancel()
	seen, err := a.network.Networks(ctx)
	switch {
	case err != nil:
		return "", err
	case len(seen) == 0:
		return "", errors.New("it hears no network: is its antenna on, is there one?")
	}
	return fmt.Sprintf("it hears %d networks, the strongest with %d dBm", len(seen), seen[0].Signal), nil
}

// testStorage writes, reads and compares.
func (a *agent) testStorage(context.Context) (string, error) {
	if err := space(a.state); err != nil {
		return "", err
	}
	path := filepath.Join(a.state, ".selftest.tmp")
	want := make([]byte, 64<<10)
	_, _ = rand.Read(want) // never fails
	began := time.Now()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return "", err
	}
	defer os.Remove(path)
	_, err = f.Write(want)
	err = errors.Join(err, f.Sync())
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // so that it is read from the disk, where the kernel likes
	got := make([]byte, len(want))
	if err == nil {
		_, err = f.ReadAt(got, 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if !bytes.Equal(got, want) {
		return "", errors.New("it does not give back what was written")
	}
	return fmt.Sprintf("64 KiB written, flushed and read back in %d ms", time.Since(began).Milliseconds()), nil
}

func (a *agent) testVault(context.Context) (string, error) {
	if a.lasting.persist == nil {
		return "", errors.New("it can't be opened")
	}
	if _, err := a.lasting.persist.Load(); err != nil {
		return "", err
	}
	if _, err := a.lasting.keys.Load(); err != nil {
		return "", err
	}
	return "identity and keys can be read", nil
}

func (a *agent) testWatchdog(context.Context) (string, error) {
	switch {
	case !a.dogged:
		return "", absence("this board has no watchdog, or this system may not use it")
	case !a.supervisor.Petted():
		return "", errors.New("it is not petted: the board is about to be reset")
	}
	return "it is armed and petted", nil
}
