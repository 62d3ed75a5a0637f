// Package gpio is lamp and button on lines of the kernel's GPIO character device (linux/gpio.h, uAPI v2, Linux 5.10).
//
// A chip is named by its label (gpiodetect prints it), since the numbers of /dev/gpiochipN change with the order in
// which drivers come up. The kernel itself debounces the button and takes the time of each edge, so this package needs
// three requests and no library: it is 20 kB in the armv7 agent, where github.com/warthog618/go-gpiocdev would be 66 kB.
package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// Line names one line of a chip.
type Line struct {
	Chip      string // the chip's label, or its name (gpiochip0)
	Offset    int    // the line's number on the chip
	ActiveLow bool   // the lamp shines, the button is pressed, when the line is low
	PullUp    bool   // the line needs the chip's own pull-up resistor
}

func (l Line) String() string { return fmt.Sprintf("%s/%d", l.Chip, l.Offset) }

// consumer is what the kernel tells others who holds the line (gpioinfo).
const consumer = "ocellus"

// Structures and requests of linux/gpio.h. All padding is explicit, so that 32 and 64 bit have one layout.
type (
	chipInfo struct {
		name, label [32]byte
		lines       uint32
	}
	lineAttribute struct {
		id, _ uint32
		value uint64 // flags, values or the period of debouncing in microseconds in the first four bytes
	}
	lineConfig struct {
		flags          uint64
		attributeCount uint32
		_              [5]uint32
		attributes     [10]struct {
			lineAttribute
			mask uint64
		}
	}
	lineRequest struct {
		offsets     [64]uint32
		consumer    [32]byte
		config      lineConfig
		lines       uint32
		eventBuffer uint32
		_           [5]uint32
		fd          int32
	}
	lineValues struct{ bits, mask uint64 }
	lineEvent  struct {
		timestamp uint64 // CLOCK_MONOTONIC, nanoseconds
		id        uint32
		offset    uint32
		sequence  uint32
		_         uint32
		_         [6]uint32
	}
)

const (
	getChipInfo = 0x8044b401
	getLine     = 0xc250b407
	setValues   = 0xc010b40f

	flagActiveLow = 1 << 1
	flagInput     = 1 << 2
	flagOutput    = 1 << 3
	flagEdges     = 1<<4 | 1<<5
	flagPullUp    = 1 << 8

	attributeDebounce = 3

	edgeRising  = 1
	edgeFalling = 2
)

// The kernel checks the size in each request; these check it at compile time.
const (
	_ = -uint(unsafe.Sizeof(chipInfo{})^(getChipInfo>>16&0x3fff)) - uint(unsafe.Sizeof(lineEvent{})^48)
	_ = -uint(unsafe.Sizeof(lineRequest{})^(getLine>>16&0x3fff)) - uint(unsafe.Sizeof(lineValues{})^(setValues>>16&0x3fff))
)

// ioctl does not return EINTR.
func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	errno := unix.EINTR
	err = raw.Control(func(fd uintptr) {
		for errno == unix.EINTR {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// find opens the chip of a name or label.
func find(name string) (*os.File, error) {
	nodes, err := filepath.Glob("/dev/gpiochip*")
	if err != nil {
		return nil, err
	}
	slices.Sort(nodes)
	var faults []error
	for _, path := range nodes {
		f, err := os.Open(path)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		var info chipInfo
		err = ioctl(f, getChipInfo, unsafe.Pointer(&info))
		if err == nil && (text(info.label[:]) == name || text(info.name[:]) == name) {
			return f, nil
		}
		faults = append(faults, err, f.Close())
	}
	return nil, fmt.Errorf("no such chip among %d: %w", len(nodes), errors.Join(append(faults, hal.ErrClosed)...))
}

func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// open requests a line. The file that it returns is pollable: Close and deadlines unblock its Read.
func (l Line) open(flags uint64, attributes ...lineAttribute) (*os.File, error) {
	chip, err := find(l.Chip)
	if err != nil {
		return nil, err
	}
	defer func() { _ = chip.Close() }()
	r := lineRequest{lines: 1}
	r.offsets[0] = uint32(l.Offset)
	copy(r.consumer[:], consumer)
	r.config.flags = flags
	if l.ActiveLow {
		r.config.flags |= flagActiveLow
	}
	if l.PullUp {
		r.config.flags |= flagPullUp
	}
	r.config.attributeCount = uint32(len(attributes))
	for i, a := range attributes {
		r.config.attributes[i].lineAttribute, r.config.attributes[i].mask = a, 1
	}
	err = ioctl(chip, getLine, unsafe.Pointer(&r))
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%w (%w)", hal.ErrBusy, err)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(int(r.fd), true); err != nil {
		return nil, errors.Join(err, unix.Close(int(r.fd)))
	}
	return os.NewFile(uintptr(r.fd), l.String()), nil
}
