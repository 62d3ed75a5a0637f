package haltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ocellus/ocellus/hal"
)

// wire is one of a port's two ways. What is written waits until it is read, as far as there is room.
type wire struct {
	mu     sync.Mutex // guards the rest
	change *sync.Cond
	bytes  []byte
	gone   bool // the other end went away
	freed  bool // the test is over: nobody waits any more
}

const wireRoom = 1024

var errFreed = errors.New("the test is over")

func newWire() *wire {
	w := &wire{}
	w.change = sync.NewCond(&w.mu)
	return w
}

// wait waits until ready says so; end: why it need not wait.
func (w *wire) wait(ready func() bool, end func() error) error {
	for !ready() {
		if err := end(); err != nil {
			return err
		}
		if w.freed {
			return errFreed
		}
		w.change.Wait()
	}
	return nil
}

func (w *wire) read(p []byte, end func() error) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.wait(func() bool { return len(w.bytes) > 0 }, end); err != nil {
		return 0, err
	}
	n := copy(p, w.bytes)
	w.bytes = w.bytes[n:]
	w.change.Broadcast()
	return n, nil
}

func (w *wire) write(p []byte, end func() error) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n < len(p) {
		if err := w.wait(func() bool { return len(w.bytes) < wireRoom }, end); err != nil {
			return n, err
		}
		more := min(len(p)-n, wireRoom-len(w.bytes))
		w.bytes = append(w.bytes, p[n:n+more]...)
		n += more
		w.change.Broadcast()
	}
	return n, nil
}

// ask tells whether a call need not wait at all.
func (w *wire) ask(end func() error) (err error) {
	w.set(func() { err = end() })
	return err
}

// set changes something that somebody may wait for.
func (w *wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	w.change.Broadcast()
}

// fakeSerial keeps the law, unless its flaw says otherwise.
type fakeSerial struct {
	flaw    string
	in, out *wire
	left    []*os.File // that the flaw left open

	mu   sync.Mutex // guards the rest
	open bool
	used bool // it was open before
}

func newFakeSerial(flaw string) *fakeSerial {
	return &fakeSerial{flaw: flaw, in: newWire(), out: newWire()}
}

// free ends what the flaw left waiting.
func (s *fakeSerial) free() {
	for _, w := range []*wire{s.in, s.out} {
		w.set(func() { w.freed = true })
	}
	for _, f := range s.left {
		_ = f.Close()
	}
}

func (s *fakeSerial) Name() string { return "fake" }

func (s *fakeSerial) hasSpeed(baud int) bool {
	switch s.flaw {
	case "takes any speed":
		return true
	case "knows one speed":
		return baud == usualBaud
	}
	return baud >= 300
}

func (s *fakeSerial) Open(baud int) (hal.Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.hasSpeed(baud):
		return nil, hal.ErrUnsupported
	case s.open && s.flaw != "never busy", s.used && s.flaw == "opens once":
		return nil, hal.ErrBusy
	}
	s.open, s.used = true, true
	if s.flaw == "leaks descriptor" {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		s.left = append(s.left, f)
	}
	return &fakeLine{port: s, reading: make(chan struct{}, 1)}, nil
}

// fakeLine is the open port.
type fakeLine struct {
	port    *fakeSerial
	reading chan struct{} // holds one while somebody reads

	mu     sync.Mutex // guards the rest
	closed bool
	broken bool // by a speed that it does not have
}

// end is why a call of the line need not wait.
func (l *fakeLine) end(w *wire, deaf string) func() error {
	return func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch flaw := l.port.flaw; {
		case w.gone && flaw == "waits when it is gone":
			return nil
		case w.gone && flaw == "end of file when it is gone":
			return io.EOF
		case w.gone:
			return hal.ErrClosed
		case !l.closed, flaw == deaf:
			return nil
		case flaw == "other error":
			return errors.New("bad file descriptor")
		}
		return fmt.Errorf("fake: %w", hal.ErrClosed)
	}
}

func (l *fakeLine) Read(p []byte) (int, error) {
	l.reading <- struct{}{}
	defer func() { <-l.reading }()
	s := l.port
	end := l.end(s.in, "deaf to close")
	if err := s.in.ask(end); err != nil && s.flaw != "works after close" {
		return 0, err
	}
	if s.flaw == "never waits" {
		end = func() error { return io.ErrNoProgress }
	}
	n, err := s.in.read(p, end)
	if errors.Is(err, io.ErrNoProgress) {
		return 0, nil
	}
	return l.bend(p[:n]), err
}

// bend is what a flaw makes of what came.
func (l *fakeLine) bend(p []byte) int {
	if l.broken {
		clear(p)
	}
	switch l.port.flaw {
	case "loses bytes":
		if i := slices.Index(p, 100); i >= 0 {
			return copy(p[i:], p[i+1:]) + i
		}
	case "changes the order":
		slices.Reverse(p)
	case "cooks":
		for i, c := range p {
			if c == '\r' {
				p[i] = '\n'
			}
		}
	case "has seven bits":
		for i := range p {
			p[i] &= 0x7f
		}
	case "heeds XOFF":
		return len(slices.DeleteFunc(p, func(c byte) bool { return c == 0x13 || c == 0x11 }))
	case "echoes":
		_, _ = l.port.out.write(p, func() error { return io.ErrShortWrite })
	}
	return len(p)
}

func (l *fakeLine) Write(p []byte) (int, error) {
	s := l.port
	end := l.end(s.out, "deaf to close while it writes")
	if err := s.out.ask(end); err != nil && s.flaw != "works after close" {
		return 0, err
	}
	switch s.flaw {
	case "never waits":
		return s.out.write(p, func() error { return io.ErrShortWrite })
	case "writes half":
		return s.out.write(p[:(len(p)+1)/2], end)
	case "ends lines":
		cooked := make([]byte, 0, 2*len(p))
		for _, c := range p {
			if c == '\n' {
				cooked = append(cooked, '\r')
			}
			cooked = append(cooked, c)
		}
		_, err := s.out.write(cooked, end)
		return len(p), err
	}
	return s.out.write(p, end)
}

func (l *fakeLine) SetSpeed(baud int) error {
	if err := l.port.out.ask(l.end(l.port.out, "deaf to close while it is set")); err != nil && l.port.flaw != "works after close" {
		return err
	}
	if !l.port.hasSpeed(baud) {
		l.broken = l.port.flaw == "is lost with a wrong speed"
		return hal.ErrUnsupported
	}
	return nil
}

func (l *fakeLine) Close() error {
	if l.port.flaw == "waits for who reads" {
		l.reading <- struct{}{}
		defer func() { <-l.reading }()
	}
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	for _, w := range []*wire{l.port.in, l.port.out} {
		w.set(func() {})
	}
	l.port.mu.Lock()
	l.port.open = false
	l.port.mu.Unlock()
	if again && l.port.flaw == "close once" {
		return errors.New("closed already")
	}
	return nil
}

// fakePeer is the other end of the wires.
type fakePeer struct{ port *fakeSerial }

func (p fakePeer) end(w *wire) func() error {
	return func() error {
		if w.gone {
			return io.ErrClosedPipe
		}
		return nil
	}
}

func (p fakePeer) Read(b []byte) (int, error)  { return p.port.out.read(b, p.end(p.port.out)) }
func (p fakePeer) Write(b []byte) (int, error) { return p.port.in.write(b, p.end(p.port.in)) }

func (p fakePeer) Close() error {
	for _, w := range []*wire{p.port.in, p.port.out} {
		w.set(func() { w.gone = true })
	}
	return nil
}

func TestSuiteCatchesSerial(t *testing.T) {
	const every, busy, again, speed = "every byte goes through", "a second open is busy", "open works after close",
		"the speed changes"
	const read, write, twice, gone = "close unblocks read", "close unblocks write", "close is idempotent",
		"a port that goes away is closed"
	for _, tt := range []struct{ flaw, law string }{
		{"", ""},
		{"loses bytes", every},
		{"changes the order", every},
		{"cooks", every},
		{"ends lines", every},
		{"has seven bits", every},
		{"heeds XOFF", every},
		{"echoes", every},
		{"writes half", every},
		{"never busy", busy},
		{"opens once", again},
		{"leaks descriptor", again},
		{"takes any speed", speed},
		{"knows one speed", speed},
		{"is lost with a wrong speed", speed},
		{"deaf to close", read},
		{"waits for who reads", read},
		{"other error", read},
		{"never waits", read},
		{"deaf to close while it writes", write},
		{"never waits", write},
		{"close once", twice},
		{"works after close", twice},
		{"waits when it is gone", gone},
		{"end of file when it is gone", gone},
	} {
		t.Run(tt.flaw+" "+tt.law, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a driver that hangs is waited for in no time
				var all []*fakeSerial
				defer func() {
					for _, s := range all {
						s.free()
					}
				}()
				open := func() SerialBench {
					s := newFakeSerial(tt.flaw)
					all = append(all, s)
					return SerialBench{Port: s, Peer: fakePeer{s}}
				}
				caught(t, findings(t.Context(), only(serialLaws(), tt.law), open, nil), tt.law)
			})
		})
	}
}
