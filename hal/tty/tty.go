// Package tty is a serial port of the kernel's (termios(3)): a UART, a USB adapter, or the end of a pseudo terminal.
//
// go.bug.st/serial opens the port for us alone, makes it raw and sets its speed. Bytes go through a descriptor of our own,
// which does not block, so that Close ends whatever waits there: a Write to a pseudo terminal whose other end is not read,
// and a Read whose bytes another program took, which the package's own Close would wait for.
package tty

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/hal"
)

// Speeds that are asked of a port: what lies outside is no serial line of a camera.
const (
	slowest = 300
	fastest = 4_000_000
)

// Port is a serial port. It implements hal.Serial.
type Port struct {
	path string
	busy atomic.Bool // the kernel keeps other programs out
}

// New names a port (/dev/ttyS0); nothing is opened before Open.
func New(path string) *Port { return &Port{path: path} }

// Name implements hal.Serial.
func (p *Port) Name() string { return p.path }

// Open implements hal.Serial.
func (p *Port) Open(baud int) (hal.Line, error) {
	mode, err := p.mode(baud)
	if err != nil {
		return nil, err
	}
	if !p.busy.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("open %s: %w", p.path, hal.ErrBusy)
	}
	l, err := p.open(mode)
	if err != nil {
		p.busy.Store(false)
		return nil, err
	}
	return l, nil
}

func (p *Port) open(mode *serial.Mode) (*line, error) {
	// The own descriptor comes first: the package makes the port exclusive.
	data, err := os.OpenFile(p.path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, p.fault("open", err)
	}
	if err := lock(data); err != nil {
		return nil, errors.Join(p.fault("open", err), data.Close())
	}
	settings, err := serial.Open(p.path, mode)
	if err != nil {
		return nil, errors.Join(p.fault("open", err), data.Close())
	}
	return &line{port: p, settings: settings, data: data}, nil
}

// lock keeps another program of ours out, or whatever else asks for flock(2): root's is not stopped by TIOCEXCL. A port
// that knows no locks does without.
func lock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var busy error
	err = raw.Control(func(fd uintptr) {
		if e := unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB); errors.Is(e, unix.EWOULDBLOCK) {
			busy = e
		}
	})
	return errors.Join(err, busy)
}

func (p *Port) mode(baud int) (*serial.Mode, error) {
	if baud < slowest || baud > fastest {
		return nil, fmt.Errorf("open %s: %d baud: %w", p.path, baud, hal.ErrUnsupported)
	}
	return &serial.Mode{BaudRate: baud}, nil // 8 data bits, no parity, one stop bit
}

// fault names operation and port, and says what a caller branches on.
func (p *Port) fault(op string, err error) error {
	var of *serial.PortError
	code := serial.PortErrorCode(-1)
	if errors.As(err, &of) {
		code = of.Code()
	}
	var sentinel error
	switch {
	case code == serial.PortBusy, errors.Is(err, unix.EBUSY), errors.Is(err, unix.EWOULDBLOCK):
		sentinel = hal.ErrBusy
	case code == serial.PortClosed, errors.Is(err, fs.ErrNotExist), errors.Is(err, os.ErrClosed), errors.Is(err, io.EOF),
		errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EBADF):
		sentinel = hal.ErrClosed
	case errors.Is(err, unix.EINVAL):
		sentinel = hal.ErrUnsupported
	}
	var path *fs.PathError
	if errors.As(err, &path) { // it names the port a second time
		err = path.Err
	}
	if sentinel != nil {
		return fmt.Errorf("%s %s: %w: %w", op, p.path, sentinel, err)
	}
	return fmt.Errorf("%s %s: %w", op, p.path, err)
}

// line is an open port.
type line struct {
	port     *Port
	settings serial.Port
	data     *os.File
	closed   atomic.Bool
	once     sync.Once
	err      error // of Close
}

// Read implements hal.Line.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.data.Read(b)
	return n, l.judge("read", err)
}

// Write implements hal.Line.
func (l *line) Write(b []byte) (int, error) {
	n, err := l.data.Write(b)
	return n, l.judge("write", err)
}

// SetSpeed implements hal.Line.
func (l *line) SetSpeed(baud int) error {
	mode, err := l.port.mode(baud)
	if err == nil {
		err = l.judge("drain", l.settings.Drain())
	}
	if err == nil {
		err = l.judge("set speed", l.settings.SetMode(mode))
	}
	return err
}

func (l *line) judge(op string, err error) error {
	if err == nil {
		return nil
	}
	if l.closed.Load() {
		err = os.ErrClosed
	}
	return l.port.fault(op, err)
}

// Close implements hal.Line.
func (l *line) Close() error {
	l.once.Do(func() {
		l.closed.Store(true)
		if err := errors.Join(l.data.Close(), l.settings.Close()); err != nil {
			l.err = l.port.fault("close", err)
		}
		l.port.busy.Store(false)
	})
	return l.err
}
