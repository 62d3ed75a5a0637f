// Package load is the benchmark's client: many readers of one server in one loop on one thread, so that the readers
// are awake and cost the machine as little as readers can.
//
// It counts what every reader got: access units, gaps in the sequence numbers and access units that never came (seen
// in the timestamps, so that a server that drops before it numbers is caught too). It reads the server's CPU clock and
// memory at both ends of the window.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Config is one measurement.
type Config struct {
	URL     string // rtsp://user:password@host:port/main or floor://host:port/
	Readers int
	UDP     bool
	PID     int           // the server's process
	Ticks   uint32        // RTP clock between two pictures
	Settle  time.Duration // from the last reader's PLAY to the window
	Window  time.Duration
	Stalled bool // the readers never read after PLAY
}

// Result is what the window showed.
type Result struct {
	Readers       int
	Units         int           // access units of all readers together
	Gaps, Missing int           // sequence numbers; access units by the timestamps
	Short, Dead   int           // readers with too few access units; readers whose connection ended
	Window        time.Duration // as it really was
	CPU           time.Duration // of the server in the window
	RSS           int           // of the server at the end, KiB
	PeakRSS       int           // KiB
	ClientCPU     time.Duration
	Latency       []time.Duration // capture stamp to last packet, one a reader and access unit; unsorted
	Faults        []string        // the first few, in words
}

// Void says why the figures don't count, or "".
func (r Result) Void() string {
	if r.Gaps+r.Missing+r.Short+r.Dead == 0 {
		return ""
	}
	return fmt.Sprintf("%d sequence gaps, %d access units missing, %d readers short, %d dead: %s",
		r.Gaps, r.Missing, r.Short, r.Dead, strings.Join(r.Faults, "; "))
}

// Load is a set of connected readers.
type Load struct {
	config   Config
	epoll    int
	sessions []*session
	readers  []*reader
	added    chan *reader // closed after the last one
}

// Run connects the readers, one after the other, lets them settle and measures.
func Run(ctx context.Context, c Config) (Result, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return Result{}, fmt.Errorf("epoll: %w", err)
	}
	l := &Load{config: c, epoll: epoll, added: make(chan *reader, c.Readers)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		result Result
		err    error
	}
	done := make(chan outcome, 1) // one send, never blocks
	go func() {
		r, err := l.loop(ctx)
		done <- outcome{r, err}
	}()
	if err := l.connect(ctx); err != nil {
		cancel()
		<-done
		l.close()
		return Result{}, err
	}
	o := <-done
	l.close()
	return o.result, o.err
}

func (l *Load) connect(ctx context.Context) error {
	defer close(l.added)
	u, err := url.Parse(l.config.URL)
	if err != nil {
		return errors.New("load: bad URL")
	}
	if u.Port() == "" {
		u.Host += ":554"
	}
	for i := range l.config.Readers {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s, err := l.openOne(u)
		if err != nil {
			return fmt.Errorf("reader %d: %w", i, err)
		}
		l.sessions = append(l.sessions, s)
		r := newReader(i, s, l.config)
		l.added <- r
		if l.config.Stalled {
			continue
		}
		if err := l.watch(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *Load) openOne(u *url.URL) (*session, error) {
	receiveBuffer := 0
	if l.config.Stalled {
		receiveBuffer = 4096
	}
	if u.Scheme == "floor" {
		return openFloor(u.Host, l.config.UDP)
	}
	return open(u, l.config.UDP, receiveBuffer)
}

// openFloor speaks the floor program's one-line protocol.
func openFloor(host string, udp bool) (*session, error) {
	fd, err := dial(host, 0)
	if err != nil {
		return nil, err
	}
	s := &session{fd: fd, udpRTP: -1, udpRTCP: -1}
	line := "TCP\n"
	if udp {
		port, err := s.bindPair()
		if err != nil {
			s.close()
			return nil, err
		}
		line = fmt.Sprintf("UDP %d\n", port)
	}
	if _, err := unix.Write(fd, []byte(line)); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// watch hands a reader's sockets to the loop. The event carries the reader's number and which socket it is.
func (l *Load) watch(r *reader) error {
	for kind, fd := range []int{r.session.fd, r.session.udpRTP, r.session.udpRTCP} {
		if fd < 0 {
			continue
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(r.id), Pad: int32(kind)}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
	}
	return nil
}

func (l *Load) close() {
	for _, s := range l.sessions {
		s.close()
	}
	unix.Close(l.epoll)
}

// loop reads for all readers until the window ends.
func (l *Load) loop(ctx context.Context) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var (
		events  [256]unix.EpollEvent
		buffer  = make([]byte, 1<<18)
		window  window
		start   time.Time // of the window; zero until all are connected
		keep    = time.Now()
		adding  = true
		started bool
	)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(l.epoll, events[:], 20)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return Result{}, fmt.Errorf("epoll: %w", err)
		}
		if adding = adding && l.take(); !adding && start.IsZero() {
			start = time.Now().Add(l.config.Settle)
		}
		for _, e := range events[:max(n, 0)] {
			l.handle(e, buffer)
		}
		now := time.Now()
		if now.Sub(keep) > 20*time.Second {
			keep = now
			l.keepAlive()
		}
		switch {
		case start.IsZero() || now.Before(start):
		case !started:
			started = true
			if window, err = l.begin(); err != nil {
				return Result{}, err
			}
		case now.Sub(start) >= l.config.Window:
			return l.finish(window)
		}
	}
	return Result{}, ctx.Err()
}

// take receives the readers that are connected by now; false after the last one.
func (l *Load) take() bool {
	for {
		select {
		case r, ok := <-l.added:
			if !ok {
				return false
			}
			l.readers = append(l.readers, r)
		default:
			return true
		}
	}
}

func (l *Load) handle(e unix.EpollEvent, buffer []byte) {
	id := int(e.Fd)
	for id >= len(l.readers) { // its event came before its turn in the channel
		r, ok := <-l.added
		if !ok {
			return
		}
		l.readers = append(l.readers, r)
	}
	r := l.readers[id]
	switch e.Pad {
	case 0:
		if !r.readTCP(buffer) {
			_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, r.session.fd, nil)
		}
	case 1:
		r.readUDP(buffer)
	case 2:
		_, _ = unix.Read(r.session.udpRTCP, buffer)
	}
}

// keepAlive refreshes every session (RFC 2326 10.8); the answers are skipped in the stream.
func (l *Load) keepAlive() {
	for _, r := range l.readers {
		if r.session.in != nil && !r.dead && !l.config.Stalled {
			_ = r.session.send("GET_PARAMETER", r.session.base)
		}
	}
}
