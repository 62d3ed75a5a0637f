package beep

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
	"golang.org/x/sys/unix"
)

// Requests of linux/uinput.h.
const (
	createDevice = 'U'<<8 | 1
	setupDevice  = 1<<30 | 92<<16 | 'U'<<8 | 3
	setEvents    = 1<<30 | 4<<16 | 'U'<<8 | 100
	setSounds    = 1<<30 | 4<<16 | 'U'<<8 | 106
	nameOfDevice = 2<<30 | 64<<16 | 'U'<<8 | 44
)

// setup is struct uinput_setup.
type setup struct {
	bus, vendor, product, version uint16
	name                          [80]byte
	effects                       uint32
}

// ear is the other side of a beeper: the kernel's input device in user space hears what it is told to sound.
type ear struct {
	device *os.File
	path   string

	mu    sync.Mutex // guards heard
	heard []int
}

// newEar makes a beeper in the kernel.
func newEar(t *testing.T) *ear {
	t.Helper()
	f, err := os.OpenFile("/dev/uinput", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no input device of user space: %v", err)
	}
	control := func(request, argument uintptr) {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, argument); errno != 0 {
			t.Fatalf("request %#x: %v", request, errno)
		}
	}
	s, name := setup{bus: 6}, [64]byte{} // BUS_VIRTUAL
	copy(s.name[:], "a beeper")
	control(setEvents, evSound)
	control(setSounds, soundTone)
	control(setupDevice, uintptr(unsafe.Pointer(&s)))
	control(createDevice, 0)
	control(nameOfDevice, uintptr(unsafe.Pointer(&name)))
	e := &ear{device: f}
	t.Cleanup(func() { _ = f.Close() })
	input := string(bytes.TrimRight(name[:], "\x00"))
	for begin := time.Now(); e.path == ""; <-time.After(10 * time.Millisecond) {
		nodes, _ := filepath.Glob("/sys/class/input/" + input + "/event*")
		if len(nodes) > 0 {
			e.path = "/dev/input/" + filepath.Base(nodes[0])
		}
		if _, err := os.Stat(e.path); err != nil {
			e.path = ""
		}
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("the kernel makes no node of %s", input)
		}
	}
	go e.listen()
	return e
}

// listen hears until the device is closed.
func (e *ear) listen() {
	for {
		var got event
		if _, err := e.device.Read(unsafe.Slice((*byte)(unsafe.Pointer(&got)), unsafe.Sizeof(got))); err != nil {
			return
		}
		if got.kind == evSound && got.code == soundTone {
			e.mu.Lock()
			e.heard = append(e.heard, int(got.value))
			e.mu.Unlock()
		}
	}
}

func (e *ear) since(n int) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard[n:])
}

// TestHardwareLaw: the law on a beeper of the kernel.
func TestHardwareLaw(t *testing.T) {
	e := newEar(t)
	begin := 0
	haltest.Sounder(t, func(t *testing.T) hal.Sounder {
		begin = len(e.since(0))
		b, err := Open(e.path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, haltest.SounderOptions{Heard: func() []int { return e.since(begin) }})
	b := Find("/dev/input")
	if b == nil {
		t.Fatal("the beeper is not found")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
