package wifi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// Monitor is the monitor of a radio. It implements hal.Monitor.
type Monitor struct{ radio *Radio }

// Channels implements hal.Monitor.
func (m *Monitor) Channels(ctx context.Context) ([]int, error) {
	var list []int
	c, err := m.radio.begin(ctx)
	if err == nil {
		defer c.end()
		list, err = channelsOf(m.radio.o.Interface)
	}
	if err != nil {
		return nil, fmt.Errorf("channels of %s: %w", m.radio.o.Interface, err)
	}
	return list, nil
}

// Start implements hal.Monitor.
func (m *Monitor) Start(ctx context.Context, channel int) (hal.Air, error) {
	a, err := m.radio.listen(ctx, channel)
	if err != nil {
		return nil, fmt.Errorf("hear by %s on channel %d: %w", m.radio.o.Interface, channel, err)
	}
	return a, nil
}

// listen starts the ear.
func (r *Radio) listen(ctx context.Context, channel int) (*air, error) {
	c, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	if r.air != nil {
		return nil, fmt.Errorf("monitor open: %w", hal.ErrBusy)
	}
	if err := r.free(); err != nil {
		return nil, err
	}
	a := &air{radio: r, ended: make(chan struct{})}
	if a.ear, err = r.callEar(a); err != nil {
		return nil, err
	}
	if a.heard, err = a.request(fmt.Sprintf("start %d", channel)); err == nil && a.heard == nil {
		err = errors.New("the ear gives nothing to hear by")
	}
	if err != nil {
		a.hangUp()
		return nil, err
	}
	a.channel.Store(int32(channel))
	a.closing = context.AfterFunc(r.life, func() { _ = a.Close() })
	r.air = a
	return a, nil
}

// free checks that the station has left its network.
func (r *Radio) free() error {
	s, err := connect(r.control)
	if err != nil {
		return err
	}
	defer s.close()
	return s.free()
}

func (s *supplicant) free() error {
	answer, err := s.ask("LIST_NETWORKS") // a line of titles, then a line each
	if err == nil && strings.Count(answer, "\n") > 1 {
		err = fmt.Errorf("in a network: %w", hal.ErrBusy)
	}
	return err
}

// callEar reaches the board's ear, or one in this process.
func (r *Radio) callEar(a *air) (*net.UnixConn, error) {
	if r.o.Ear != "" {
		close(a.ended)
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: r.o.Ear, Net: "unixpacket"})
		if err != nil {
			return nil, fmt.Errorf("ear: %w", err)
		}
		return c, nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	ours, err := connOf(pair[0])
	theirs, theirErr := connOf(pair[1])
	if err := errors.Join(err, theirErr); err != nil {
		return nil, err
	}
	e := &ear{station: r.o.Interface}
	if err := e.mend(); err != nil {
		return nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	go func() {
		defer close(a.ended)
		e.serve(context.Background(), theirs) // until we hang up
	}()
	return ours, nil
}

// connOf makes a connection of a descriptor, which it takes.
func connOf(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "ear")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("no unix socket"), c.Close())
	}
	return u, nil
}

// air is an open monitor. It implements hal.Air.
type air struct {
	radio   *Radio
	ear     *net.UnixConn
	heard   *os.File
	ended   chan struct{} // closed when the ear in this process has ended
	channel atomic.Int32
	once    sync.Once
	closing func() bool

	// Of Next, which one goroutine at a time calls.
	done   <-chan struct{} // of the context that ends the wait
	unhook func() bool
	buffer [heardHeader + maxHeard]byte
}

// earPatience is for the ear's answer, which asks the kernel.
const earPatience = 2 * kernelPatience

// request asks the ear, and returns the descriptor that came with the answer, if any.
func (a *air) request(words string) (*os.File, error) {
	if err := a.ear.SetDeadline(time.Now().Add(earPatience)); err != nil {
		return nil, err
	}
	if _, err := a.ear.Write([]byte(words)); err != nil {
		return nil, earGone(err)
	}
	b, rights := make([]byte, maxReply), make([]byte, unix.CmsgSpace(4))
	n, control, _, _, err := a.ear.ReadMsgUnix(b, rights)
	if err != nil || n == 0 {
		return nil, earGone(err)
	}
	file, err := fileOf(rights[:control])
	if err != nil {
		return nil, err
	}
	return file, errorOf(string(b[:n]))
}

func earGone(err error) error {
	return fmt.Errorf("the ear is not there: %w (%w)", hal.ErrClosed, errors.Join(err, io.EOF))
}

// fileOf takes the descriptor out of a control message; nil where there is none.
func fileOf(control []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	descriptors, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(descriptors) == 0 {
		return nil, err
	}
	for _, fd := range descriptors {
		unix.CloseOnExec(fd)
	}
	if err := unix.SetNonblock(descriptors[0], true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(descriptors[0]), "heard"), nil
}

// Tune implements hal.Air.
func (a *air) Tune(ctx context.Context, channel int) error {
	if err := a.tune(ctx, channel); err != nil {
		return fmt.Errorf("tune %s to channel %d: %w", a.radio.o.Interface, channel, err)
	}
	return nil
}

func (a *air) tune(ctx context.Context, channel int) error {
	c, err := a.radio.begin(ctx)
	if err != nil {
		return err
	}
	defer c.end()
	if a.radio.air != a {
		return hal.ErrClosed
	}
	if _, err := a.request(fmt.Sprintf("tune %d", channel)); err != nil {
		return err
	}
	a.channel.Store(int32(channel))
	return nil
}

// Next implements hal.Air. It allocates nothing while its context stays the same.
func (a *air) Next(ctx context.Context) (hal.Packet, error) {
	if err := ctx.Err(); err != nil {
		return hal.Packet{}, err
	}
	a.hook(ctx)
	for {
		n, err := a.heard.Read(a.buffer[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err := ctx.Err(); err != nil {
				return hal.Packet{}, err
			}
			a.done = nil // the end of another context, which came late
			a.hook(ctx)
			continue
		}
		if err != nil {
			a.unhook()
			return hal.Packet{}, fmt.Errorf("hear by %s: %w (%w)", a.radio.o.Interface, hal.ErrClosed, err)
		}
		at, length, channel, packet, ok := readHeader(a.buffer[:n])
		if ok && channel == int(a.channel.Load()) {
			return hal.Packet{At: at, Bytes: packet, Length: length}, nil
		}
	}
}

// hook lets the end of a context end the wait. The same context as before is still hooked.
func (a *air) hook(ctx context.Context) {
	if a.done != nil && a.done == ctx.Done() {
		return
	}
	if a.unhook != nil {
		a.unhook()
	}
	a.done = ctx.Done()
	_ = a.heard.SetReadDeadline(time.Time{})
	a.unhook = context.AfterFunc(ctx, func() { _ = a.heard.SetReadDeadline(time.Unix(1, 0)) })
}

// Close implements hal.Air. When it returns, the station is up again.
func (a *air) Close() error {
	a.once.Do(func() {
		_ = a.heard.Close()
		a.radio.turn <- struct{}{}
		defer func() { <-a.radio.turn }()
		_, _ = a.request("stop") // hanging up is a stop, too
		a.hangUp()
		a.radio.air = nil
	})
	return nil
}

// hangUp ends the connection to the ear, and waits for one in this process.
func (a *air) hangUp() {
	_ = a.ear.Close()
	<-a.ended
	if a.closing != nil {
		a.closing()
	}
}
