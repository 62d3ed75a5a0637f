// Package hal is the dictionary of the hardware: small interfaces and plain values that name what a camera board has.
//
// It is the one place where an interface lives away from its caller, because each has several drivers, several
// callers and one law. The law stands in the comments here and, executable, in hal/haltest, which every driver passes,
// the simulated ones too. The package leans on nothing but the standard library.
//
// Two rules hold for every contract:
//   - One owner a device. cmd/agent gives each device to exactly one part at a time.
//   - Close is idempotent, unblocks a call that waits on the same value, and leaves no goroutine and no file
//     descriptor behind. Starting again after Close works.
package hal

import "errors"

// Errors that callers branch on. Drivers wrap them: "capture /dev/video0: device closed".
var (
	// ErrClosed: the value was closed, or the device went away under it (unplugged, unbound from its driver).
	// The cure is the same for both: open it again later.
	ErrClosed = errors.New("device closed")
	// ErrUnsupported: this device can't do that, now or ever. The caller lives without it.
	ErrUnsupported = errors.New("not supported by the device")
	// ErrBusy: another process or owner holds the device.
	ErrBusy = errors.New("device busy")
)

// Devices is what a board has, opened. A nil field means "this board has none", so that ability is visible in one
// place and no driver needs a pretending twin.
type Devices struct {
	Cameras  []Camera  // in the board's order; the first is the one that streams unless the configuration says otherwise
	Encoders []Encoder // in the order of preference: hardware before software
	Watchdog Watchdog
	LED      LED
	Sounder  Sounder
	Button   Button
	Radio    Radio
	Monitor  Monitor // of the same radio
	Serial   Serial  // for the console; not the kernel's own

	EasyConnect EasyConnect // of the same radio
}
