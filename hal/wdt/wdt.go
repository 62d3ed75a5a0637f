// Package wdt is the hardware watchdog behind /dev/watchdog (Documentation/watchdog/watchdog-api.rst).
//
// Opening the device arms it, so it is opened by Start and not before. What ends the process without Stop leaves it
// armed: the board resets unless the agent comes back in time. Stop disarms it (WDIOS_DISABLECARD, then the letter V
// before the close); where the kernel forbids that (nowayout), Stop says so and the device stays open, to be petted.
package wdt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// device is an opened watchdog as the kernel shows it. Errors are unix.Errno. The tests have one that never resets.
type device interface {
	// integer is an ioctl that takes and gives a number.
	integer(request uint, value int) (int, error)
	options() (uint32, error) // WDIOF_ flags of WDIOC_GETSUPPORT
	write(p []byte) error
	close() error
}

// Watchdog is one watchdog device. It implements hal.Watchdog.
type Watchdog struct {
	path string
	open func(path string) (device, error)
	// forbidden reports whether the kernel forbids to stop (nowayout); known is false where it does not say.
	forbidden func() (yes, known bool)
	sysfs     string

	mu  sync.Mutex // guards dev
	dev device     // nil while it is not armed
}

// New names a watchdog (/dev/watchdog0); nothing is opened, and nothing armed, before Start.
func New(path string) *Watchdog {
	return &Watchdog{path: path, open: openDevice, forbidden: func() (yes, known bool) { return noWayOut("/sys", path) },
		sysfs: "/sys"}
}

// noWayOut reads what the kernel says of a device under sysfs.
func noWayOut(sysfs, path string) (yes, known bool) {
	text, err := attribute(sysfs, path, "nowayout")
	return text == "1", err == nil
}

// attribute is what the kernel says of a watchdog under sysfs (Documentation/ABI/testing/sysfs-class-watchdog).
func attribute(sysfs, path, what string) (string, error) {
	name := filepath.Base(path)
	if name == "watchdog" { // the old name of the first one
		name = "watchdog0"
	}
	b, err := os.ReadFile(filepath.Join(sysfs, "class/watchdog", name, what))
	return strings.TrimSpace(string(b)), err
}

// Fired implements hal.ResetCause by what WDIOC_GETBOOTSTATUS would say, without opening, which arms. A driver whose
// hardware does not remember says 0: a reset that it did is not known then.
func (w *Watchdog) Fired() (fired, known bool) {
	text, err := attribute(w.sysfs, w.path, "bootstatus")
	if err != nil {
		return false, false
	}
	flags, err := strconv.ParseUint(text, 0, 32)
	return err == nil && flags&unix.WDIOF_CARDRESET != 0, err == nil
}

// fault names operation and device.
func (w *Watchdog) fault(op string, err error) error {
	var sentinel error
	switch {
	case errors.Is(err, unix.EBUSY):
		sentinel = hal.ErrBusy
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		sentinel = hal.ErrClosed
	default:
		return fmt.Errorf("%s watchdog %s: %w", op, w.path, err)
	}
	return fmt.Errorf("%s watchdog %s: %w (%w)", op, w.path, sentinel, err)
}

// Start implements hal.Watchdog. A timeout that the device does not take leaves the one that it has.
func (w *Watchdog) Start(timeout time.Duration) (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dev == nil {
		dev, err := w.open(w.path)
		if err != nil {
			return 0, w.fault("start", err)
		}
		w.dev = dev
	}
	seconds := int((timeout + time.Second - 1) / time.Second)
	took, setErr := w.dev.integer(unix.WDIOC_SETTIMEOUT, max(seconds, 1))
	if now, err := w.dev.integer(unix.WDIOC_GETTIMEOUT, 0); err == nil {
		took = now
	} else if setErr != nil {
		return 0, w.fault("start", errors.Join(setErr, err)) // armed, with a timeout that nobody knows
	}
	if err := w.pet(); err != nil {
		return 0, w.fault("start", err)
	}
	return time.Duration(took) * time.Second, nil
}

// pet asks by ioctl, and by a write where the driver is too old for it.
func (w *Watchdog) pet() error {
	if _, err := w.dev.integer(unix.WDIOC_KEEPALIVE, 0); err == nil || !unsupported(err) {
		return err
	}
	return w.dev.write([]byte{0})
}

func unsupported(err error) bool {
	return errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// Pet implements hal.Watchdog.
func (w *Watchdog) Pet() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dev == nil {
		return fmt.Errorf("pet watchdog %s: not started: %w", w.path, hal.ErrClosed)
	}
	if err := w.pet(); err != nil {
		return w.fault("pet", err)
	}
	return nil
}

// Stop implements hal.Watchdog.
func (w *Watchdog) Stop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dev == nil {
		return nil
	}
	if !w.disarm() {
		return fmt.Errorf("stop watchdog %s: nowayout: %w", w.path, hal.ErrUnsupported)
	}
	err := errors.Join(w.dev.write([]byte("V")), w.dev.close())
	w.dev = nil
	if err != nil {
		return w.fault("stop", err)
	}
	return nil
}

// disarm reports whether the device does not count any more once it is closed after a V.
func (w *Watchdog) disarm() bool {
	_, err := w.dev.integer(unix.WDIOC_SETOPTIONS, unix.WDIOS_DISABLECARD)
	switch {
	case err == nil:
		return true
	case !unsupported(err): // EBUSY: nowayout
		return false
	}
	if yes, known := w.forbidden(); known {
		return !yes
	}
	flags, err := w.dev.options()
	return err == nil && flags&unix.WDIOF_MAGICCLOSE != 0
}
