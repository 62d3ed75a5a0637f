package wifi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// The ear is who has the right to hear: a service of the board with two capabilities, so that the agent needs none.
// Requests come over a socket of whole messages (SOCK_SEQPACKET), each answered by one:
//
//	start CHANNEL    ok, and a descriptor (SCM_RIGHTS) from which heard packets are read; until stop the station is down
//	tune CHANNEL     ok
//	stop             ok
//
// or by "busy", "unsupported", "error: TEXT". The end of the connection is a stop. The descriptor is that of a pair of
// sockets and not the packet socket itself, by which its owner could send what he likes, to every interface.
const (
	maxRequest = 32
	maxReply   = 256
)

// monitorName is the ear's interface while it hears.
const monitorName = "ear0"

// EarOptions say for whom the ear hears.
type EarOptions struct {
	Interface string // of the station of the same radio
	UID       uint32 // the one user who may ask
	// Idle, where set, is for how long nobody asks before it ends: the next who comes to the socket has it started anew.
	Idle time.Duration
}

// ServeEar answers requests until ctx ends, or nobody asks any more, those of one connection after the other.
func ServeEar(ctx context.Context, l *net.UnixListener, o EarOptions) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	if err := (&ear{station: o.Interface}).mend(); err != nil {
		return fmt.Errorf("ear: %w", err)
	}
	for {
		c, err := accept(l, o.Idle)
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ear: %w", err)
		}
		if uid, err := peer(c); err != nil || uid != o.UID {
			_ = c.Close()
			continue
		}
		(&ear{station: o.Interface}).serve(ctx, c)
	}
}

// accept waits for the next connection; where idle is set, for so long.
func accept(l *net.UnixListener, idle time.Duration) (*net.UnixConn, error) {
	if idle > 0 {
		if err := l.SetDeadline(time.Now().Add(idle)); err != nil {
			return nil, err
		}
	}
	return l.AcceptUnix()
}

// peer returns who is at the other end (unix(7), SO_PEERCRED).
func peer(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	inner := raw.Control(func(fd uintptr) {
		credentials, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(inner, err); err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}

// ear serves one connection.
type ear struct {
	station string
	channel atomic.Int32

	// Of what was started; stop undoes it.
	kernel   nl80211
	channels []int
	lowered  bool // the station
	index    int  // of the monitor interface
	capture  *capture
}

// serve answers requests until the connection or ctx ends.
func (e *ear) serve(ctx context.Context, c *net.UnixConn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	defer func() { _ = e.stop() }()
	b := make([]byte, maxRequest)
	for {
		n, err := c.Read(b)
		if err != nil || n == 0 {
			return
		}
		heard, err := e.answer(string(b[:n]))
		reply, rights := replyOf(err), []byte(nil)
		if heard != nil {
			rights = unix.UnixRights(int(heard.Fd()))
		}
		_, _, err = c.WriteMsgUnix([]byte(reply), rights, nil)
		if heard != nil {
			_ = heard.Close()
		}
		if err != nil {
			return
		}
	}
}

// replyOf spells what came of a request.
func replyOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, hal.ErrBusy), errors.Is(err, unix.EBUSY):
		return "busy"
	case errors.Is(err, hal.ErrUnsupported):
		return "unsupported"
	}
	text := "error: " + err.Error()
	return text[:min(len(text), maxReply)]
}

// errorOf reads a reply.
func errorOf(reply string) error {
	switch reply {
	case "ok":
		return nil
	case "busy":
		return hal.ErrBusy
	case "unsupported":
		return hal.ErrUnsupported
	}
	text, _ := strings.CutPrefix(reply, "error: ")
	return fmt.Errorf("ear: %s", printable(text))
}

var errRequest = errors.New("no request of ours")

// parseRequest reads a request: its word, and the channel where there is one.
func parseRequest(request string) (word string, channel int, err error) {
	word, number, more := strings.Cut(request, " ")
	switch {
	case word == "stop" && !more:
		return word, 0, nil
	case word != "start" && word != "tune", len(request) > maxRequest:
		return "", 0, errRequest
	}
	channel, err = strconv.Atoi(number)
	if err != nil {
		return "", 0, errRequest
	}
	return word, channel, nil
}

// answer does what is asked for. heard is what the asker may read packets from.
func (e *ear) answer(request string) (heard *os.File, err error) {
	word, channel, err := parseRequest(request)
	switch {
	case err != nil:
		return nil, err
	case word == "stop":
		return nil, e.stop()
	case word == "tune" && e.capture == nil:
		return nil, errors.New("not started")
	case word == "tune":
		return nil, e.tune(channel)
	case e.capture != nil:
		return nil, hal.ErrBusy
	}
	heard, err = e.start(channel)
	if err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return heard, nil
}

// tune changes the channel.
func (e *ear) tune(channel int) error {
	if !slices.Contains(e.channels, channel) {
		return hal.ErrUnsupported
	}
	if err := e.kernel.tune(e.index, channel); err != nil {
		return err
	}
	e.channel.Store(int32(channel))
	return nil
}

// start takes the station down, since no other channel can be heard while it is up, makes a monitor interface in its
// place, and hears.
func (e *ear) start(channel int) (*os.File, error) {
	var err error
	if e.kernel, err = openNL80211(); err != nil {
		return nil, err
	}
	radio, channels, err := e.kernel.radioWithChannels(e.station)
	if err != nil {
		return nil, err
	}
	if e.channels = channels; !slices.Contains(channels, channel) {
		return nil, hal.ErrUnsupported
	}
	e.lowered = true
	if err := setUp(e.station, false); err != nil {
		return nil, err
	}
	if err := e.kernel.addMonitor(radio, monitorName); err != nil {
		return nil, err
	}
	if e.index, err = indexOf(monitorName); err != nil {
		return nil, err
	}
	if err := errors.Join(setUp(monitorName, true), e.tune(channel)); err != nil {
		return nil, err
	}
	return e.listen()
}

// listen opens the capture and returns the end of the pair from which its packets are read.
func (e *ear) listen() (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	in, out := os.NewFile(uintptr(pair[0]), "heard"), os.NewFile(uintptr(pair[1]), "hearing")
	c, err := openCapture(e.index, out)
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	e.capture = c
	go func() { _ = c.relay(func() int { return int(e.channel.Load()) }) }() // ends with close, or the interface
	return in, nil
}

// stop undoes start, as far as it came.
func (e *ear) stop() error {
	var faults []error
	if e.capture != nil {
		e.capture.close()
		e.capture = nil
	}
	if e.index != 0 {
		faults = append(faults, e.kernel.remove(e.index))
		e.index = 0
	}
	if e.kernel.Conn != nil {
		faults = append(faults, e.kernel.Close())
		e.kernel.Conn = nil
	}
	if e.lowered {
		faults = append(faults, setUp(e.station, true))
		e.lowered = false
	}
	return errors.Join(faults...)
}

// mend undoes what an ear began that was killed.
func (e *ear) mend() (err error) {
	if e.index, err = indexOf(monitorName); err != nil {
		return nil // nothing was left
	}
	e.lowered = true
	if e.kernel, err = openNL80211(); err != nil {
		return err
	}
	return e.stop()
}

// setUp brings a network interface up or down (netdevice(7)).
func setUp(name string, up bool) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, request); err != nil {
		return fmt.Errorf("flags of %s: %w", name, err)
	}
	flags := request.Uint16() &^ unix.IFF_UP
	if up {
		flags |= unix.IFF_UP
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("flags of %s: %w", name, err)
	}
	return nil
}
