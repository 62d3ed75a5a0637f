package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/ocellus/ocellus/hal"
)

// WithWatchdog arms the board's watchdog and pets it while every part is alive. The returned function disarms it: for
// a stop that a person asked for, and only then.
func (s *Supervisor) WithWatchdog(w hal.Watchdog, timeout time.Duration) (stop func() error, err error) {
	took, err := w.Start(timeout)
	if err != nil {
		return nil, fmt.Errorf("start watchdog: %w", err)
	}
	s.petWith(took, w.Pet)
	return func() error {
		if err := w.Stop(); err != nil && !errors.Is(err, hal.ErrUnsupported) {
			return fmt.Errorf("stop watchdog: %w", err)
		}
		return nil
	}, nil
}

// WithSystemd pets systemd's watchdog (WatchdogSec=) where the unit asks for it.
func (s *Supervisor) WithSystemd(n *Notifier) {
	if n.watchdog > 0 {
		s.petWith(n.watchdog, func() error { return n.Send("WATCHDOG=1") })
	}
}

func (s *Supervisor) petWith(timeout time.Duration, pet func() error) {
	s.pets = append(s.pets, pet)
	s.opt.PetEvery = min(s.opt.PetEvery, timeout/3)
}

// pet asks the parts and pets, until ctx ends.
func (s *Supervisor) pet(ctx context.Context) {
	if len(s.pets) == 0 {
		return
	}
	tick := time.NewTicker(s.opt.PetEvery)
	defer tick.Stop()
	for {
		if s.alive() {
			s.petAll()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Supervisor) petAll() {
	fine := true
	for _, pet := range s.pets {
		if err := pet(); err != nil {
			s.log.Error("watchdog not petted", "err", err)
			fine = false
		}
	}
	if fine {
		s.petted.Store(time.Now().UnixNano())
	}
}

// Petted reports whether there is a watchdog, and it was petted when it was last due.
func (s *Supervisor) Petted() bool {
	last := time.Unix(0, s.petted.Load())
	return len(s.pets) > 0 && time.Since(last) < 2*s.opt.PetEvery
}

func (s *Supervisor) alive() bool {
	ok := true
	for _, p := range s.parts {
		if p.Alive == nil || !p.up() {
			continue
		}
		if err := p.Alive(); err != nil {
			s.log.Error("part makes no progress, watchdog not petted", "part", p.Name, "err", err)
			ok = false
		}
	}
	return ok
}

// Notifier speaks to systemd: sd_notify(3), a datagram to the socket that NOTIFY_SOCKET names. Outside of systemd
// every call does nothing.
type Notifier struct {
	addr     *net.UnixAddr
	watchdog time.Duration
}

// NewNotifier reads NOTIFY_SOCKET and WATCHDOG_USEC through getenv (os.Getenv).
func NewNotifier(getenv func(string) string) *Notifier {
	n := &Notifier{}
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return n
	}
	n.addr = &net.UnixAddr{Name: path, Net: "unixgram"} // "@name" is the abstract one, for net as for systemd
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

// Send sends one state: READY=1, STOPPING=1, WATCHDOG=1, STATUS=...
func (n *Notifier) Send(state string) error {
	if n.addr == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, n.addr)
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	_, err = conn.Write([]byte(state))
	return errors.Join(err, conn.Close())
}
