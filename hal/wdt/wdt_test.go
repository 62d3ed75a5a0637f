package wdt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
	"golang.org/x/sys/unix"
)

// fake is a watchdog of the kernel's core (drivers/watchdog/watchdog_dev.c), or one of before it.
type fake struct {
	min, max int  // of the timeout in seconds; 0: SETTIMEOUT is not supported
	noWayOut bool // WDIOS_DISABLECARD answers EBUSY
	old      bool // no WDIOC_SETOPTIONS and no WDIOC_KEEPALIVE
	magic    bool // WDIOF_MAGICCLOSE
	openErr  error

	timeout     int
	opened      bool
	armed       bool
	pets, opens int
	last        byte
}

func (f *fake) open(string) (device, error) {
	if f.openErr != nil {
		return nil, f.openErr
	}
	if f.opened {
		return nil, unix.EBUSY
	}
	f.opens++
	f.opened, f.armed, f.last = true, true, 0
	return f, nil
}

func (f *fake) integer(request uint, value int) (int, error) {
	switch request {
	case unix.WDIOC_SETTIMEOUT:
		if f.max == 0 {
			return value, unix.EOPNOTSUPP
		}
		if value < f.min || value > f.max {
			return value, unix.EINVAL
		}
		f.timeout = value
		return value, nil
	case unix.WDIOC_GETTIMEOUT:
		if f.timeout == 0 {
			return 0, unix.EOPNOTSUPP
		}
		return f.timeout, nil
	case unix.WDIOC_KEEPALIVE:
		if f.old {
			return 0, unix.ENOTTY
		}
		f.pets++
		return 0, nil
	case unix.WDIOC_SETOPTIONS:
		if f.old {
			return 0, unix.ENOTTY
		}
		if f.noWayOut {
			return 0, unix.EBUSY
		}
		f.armed = false
		return 0, nil
	}
	return 0, unix.ENOTTY
}

func (f *fake) options() (uint32, error) {
	if f.magic {
		return unix.WDIOF_MAGICCLOSE, nil
	}
	return 0, nil
}

func (f *fake) write(p []byte) error {
	f.pets++
	f.last = p[0]
	return nil
}

func (f *fake) close() error {
	f.opened = false
	if f.last == 'V' && f.magic && !f.noWayOut {
		f.armed = false
	}
	return nil
}

func (f *fake) watchdog() *Watchdog {
	return &Watchdog{path: "/dev/watchdog0", open: f.open, forbidden: func() (bool, bool) { return false, false }}
}

// The laws count goroutines and descriptors of the process, so these tests are not parallel.

func TestWatchdogLaw(t *testing.T) {
	for name, f := range map[string]fake{
		"softdog":   {min: 1, max: 65535, timeout: 60, magic: true},
		"nowayout":  {min: 2, max: 2046, timeout: 30, magic: true, noWayOut: true},
		"old":       {min: 1, max: 60, timeout: 30, magic: true, old: true},
		"fixed":     {timeout: 16, magic: true},
		"no magic":  {timeout: 16, old: true},
		"too short": {min: 1, max: 16, timeout: 16, magic: true},
	} {
		t.Run(name, func(t *testing.T) {
			haltest.Watchdog(t, func(*testing.T) hal.Watchdog {
				dev := f
				return dev.watchdog()
			}, haltest.WatchdogOptions{})
		})
	}
}

// TestHardwareWatchdog runs on a board whose watchdogs may be armed (OCELLUS_WATCHDOG=/dev/watchdog0,/dev/watchdog1).
func TestHardwareWatchdog(t *testing.T) {
	list := os.Getenv("OCELLUS_WATCHDOG")
	if list == "" {
		t.Skip("OCELLUS_WATCHDOG names no watchdog that may be armed")
	}
	for path := range strings.SplitSeq(list, ",") {
		t.Run(identity(t, path), func(t *testing.T) {
			haltest.Watchdog(t, func(*testing.T) hal.Watchdog { return New(path) }, haltest.WatchdogOptions{})
			w := New(path)
			took, err := w.Start(7 * time.Second)
			t.Logf("asked for 7s, took %v, %v; stop: %v", took, err, w.Stop())
		})
	}
}

// identity is what a watchdog's driver says that it is.
func identity(t *testing.T, path string) string {
	t.Helper()
	name, err := os.ReadFile(filepath.Join("/sys/class/watchdog", filepath.Base(path), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

func TestTimeoutIsReadBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		dev  fake
		ask  time.Duration
		want time.Duration
	}{
		{"taken", fake{min: 1, max: 60, timeout: 30}, 15 * time.Second, 15 * time.Second},
		{"rounded up", fake{min: 1, max: 60, timeout: 30}, 1500 * time.Millisecond, 2 * time.Second},
		{"at least a second", fake{min: 1, max: 60, timeout: 30}, 0, time.Second},
		{"too long", fake{min: 1, max: 16, timeout: 16}, time.Minute, 16 * time.Second},
		{"not adjustable", fake{timeout: 22}, time.Minute, 22 * time.Second},
	} {
		w := c.dev.watchdog()
		if got, err := w.Start(c.ask); got != c.want || err != nil {
			t.Errorf("%s: Start %v: got %v, %v, want %v", c.name, c.ask, got, err, c.want)
		}
		if c.dev.pets == 0 {
			t.Errorf("%s: not petted by Start", c.name)
		}
	}
	unknown := fake{}
	if took, err := unknown.watchdog().Start(time.Second); err == nil {
		t.Errorf("a timeout that nobody knows: got %v", took)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		dev    fake
		forbid *bool
		stops  bool
	}{
		{"core", fake{timeout: 9}, nil, true},
		{"core, nowayout", fake{timeout: 9, magic: true, noWayOut: true}, nil, false},
		{"old with magic", fake{timeout: 9, old: true, magic: true}, nil, true},
		{"old without magic", fake{timeout: 9, old: true}, nil, false},
		{"old, forbidden", fake{timeout: 9, old: true, magic: true, noWayOut: true}, new(true), false},
		{"old, allowed", fake{timeout: 9, old: true, magic: true}, new(false), true},
	} {
		w := c.dev.watchdog()
		if c.forbid != nil {
			w.forbidden = func() (bool, bool) { return *c.forbid, true }
		}
		if _, err := w.Start(9 * time.Second); err != nil {
			t.Fatal(err)
		}
		err := w.Stop()
		if stopped := err == nil; stopped != c.stops || stopped == c.dev.armed || stopped == c.dev.opened {
			t.Errorf("%s: Stop: %v, armed %v, open %v", c.name, err, c.dev.armed, c.dev.opened)
		}
		if err != nil && (!errors.Is(err, hal.ErrUnsupported) || w.Pet() != nil) {
			t.Errorf("%s: after Stop said %v: Pet: %v", c.name, err, w.Pet())
		}
		if err == nil && (c.dev.last != 'V' || !errors.Is(w.Pet(), hal.ErrClosed) || w.Stop() != nil) {
			t.Errorf("%s: the last byte was %q", c.name, c.dev.last)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for errno, want := range map[error]error{unix.EBUSY: hal.ErrBusy, unix.ENOENT: hal.ErrClosed, unix.EACCES: unix.EACCES} {
		f := fake{openErr: errno}
		if _, err := f.watchdog().Start(time.Second); !errors.Is(err, want) {
			t.Errorf("%v: got %v, want %v", errno, err, want)
		}
	}
	if _, err := New(filepath.Join(t.TempDir(), "none")).Start(time.Second); !errors.Is(err, hal.ErrClosed) {
		t.Errorf("no device: got %v, want ErrClosed", err)
	}
}

func TestNoWayOut(t *testing.T) {
	t.Parallel()
	sysfs := t.TempDir()
	dir := filepath.Join(sysfs, "class/watchdog/watchdog0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nowayout"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/dev/watchdog": true, "/dev/watchdog0": true, "/dev/watchdog1": false} {
		if yes, known := noWayOut(sysfs, path); yes != want || known != want {
			t.Errorf("%s: got %v, %v", path, yes, known)
		}
	}
}

func TestFired(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{"32\n": {true, true}, "0\n": {false, true}, "0x20": {true, true},
		"160\n": {true, true}, "16\n": {false, true}, "": {}, "many": {}} {
		sysfs := t.TempDir()
		dir := filepath.Join(sysfs, "class/watchdog/watchdog0")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bootstatus"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		fired, known := (&Watchdog{path: "/dev/watchdog", sysfs: sysfs}).Fired()
		if fired != want[0] || known != want[1] {
			t.Errorf("%q: got %v, %v, want %v", text, fired, known, want)
		}
	}
	if fired, known := (&Watchdog{path: "/dev/watchdog7", sysfs: t.TempDir()}).Fired(); fired || known {
		t.Error("a watchdog that is not there has fired")
	}
}
