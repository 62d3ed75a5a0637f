package board

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/beep"
	"github.com/ocellus/ocellus/hal/gpio"
	"github.com/ocellus/ocellus/hal/tty"
	"github.com/ocellus/ocellus/hal/wdt"
	"golang.org/x/sys/unix"
)

// openGadgets opens watchdog, lamp and button where the board's data name them, and a beeper where there is one. A
// camera runs without them: what is not there, or belongs to somebody else, is told and left aside. The watchdog is
// armed by its Start, not here.
func openGadgets(d *hal.Devices, b Board, log *slog.Logger) {
	if b.Watchdog != "" {
		if err := unix.Access(b.Watchdog, unix.W_OK); err != nil {
			log.Warn("watchdog left aside", "path", b.Watchdog, "err", err)
		} else {
			d.Watchdog = wdt.New(b.Watchdog)
		}
	}
	if b.LED != nil {
		if led, err := gpio.OpenLED(*b.LED); err != nil {
			log.Warn("led left aside", "err", err)
		} else {
			d.LED = led
		}
	}
	if beeper := beep.Find("/dev/input"); beeper != nil { // it says of itself what it is
		d.Sounder = beeper
	}
	if b.Button != nil {
		if button, err := gpio.OpenButton(*b.Button); err != nil {
			log.Warn("button left aside", "err", err)
		} else {
			d.Button = button
		}
	}
}

// openSerial names the port of the console: the board's own, or the one that a person named. Nothing is opened yet.
func openSerial(d *hal.Devices, b Board, named, root string, log *slog.Logger) {
	switch {
	case named != "":
		d.Serial = tty.New(named)
	case b.Serial == "":
	case isKernels(root, b.Serial):
		log.Warn("serial port left to the kernel: this is a developer's image", "port", b.Serial)
	default:
		d.Serial = tty.New(b.Serial)
	}
}

// isKernels reports whether the kernel says its messages on a port (Documentation/admin-guide/serial-console.rst).
func isKernels(root, port string) bool {
	raw, err := os.ReadFile(filepath.Join(root, "sys/class/tty/console/active"))
	return err == nil && slices.Contains(strings.Fields(string(raw)), filepath.Base(port))
}
