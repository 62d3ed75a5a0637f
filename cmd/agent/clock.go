package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/control"
	"github.com/ocellus/ocellus/control/sntp"
	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/internal/timefloor"
)

// openFloor opens the time floor, by which updates and the clock go.
func (a *agent) openFloor(log *slog.Logger) {
	if a.lasting.persist == nil {
		return
	}
	var err error
	if a.floor, err = timefloor.Open(a.lasting.persist); err != nil {
		log.Error("no time floor", "err", err)
	}
}

// openTime keeps the board's clock, where the configuration names servers.
func (a *agent) openTime(c control.Config, log *slog.Logger) {
	if c.TimeServers == control.Off || a.floor == nil {
		return
	}
	k, err := sntp.Open(sntp.Options{Servers: strings.Split(c.TimeServers, ","), Floor: a.floor,
		Persist: a.lasting.persist, Built: a.updates.boot.System.Built, Set: setClock, Log: log})
	if err != nil {
		log.Error("the clock is kept by nobody", "err", err)
		return
	}
	a.supervisor.Add(supervise.Part{Name: "time", Run: k.Run, Lasting: true})
}

// clockError is by how much the kernel reckons that the clock may be wrong, at most: what setClock told it, or another
// program that keeps the clock, and 0.5 ms more with each second since (adjtimex(2)). 0: nobody knows.
func clockError() time.Duration {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return errorOf(state, err, int64(t.Maxerror))
}

func errorOf(state int, err error, micros int64) time.Duration {
	if err != nil || state == unsynchronized || micros <= 0 {
		return 0
	}
	return time.Duration(micros) * time.Microsecond
}

// unsynchronized is what adjtimex returns where nobody keeps the clock: TIME_ERROR, linux/timex.h.
const unsynchronized = 5

// setClock sets the system's clock, and tells the kernel whether it is to be believed (adjtimex(2)), and that it may be
// wrong by what servers may differ and what is not worth a step. The kernel takes that back by itself when nobody has
// looked for eight hours.
func setClock(now time.Time, sure bool) error {
	if time.Until(now).Abs() > 100*time.Millisecond {
		ts := unix.NsecToTimespec(now.UnixNano())
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
			return fmt.Errorf("clock_settime: %w", err)
		}
	}
	if !sure {
		return nil
	}
	const modMaxError, modEstError, modStatus, statusUnsync = 0x0004, 0x0008, 0x0010, 0x0040 // linux/timex.h
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	t.Modes = modStatus | modMaxError | modEstError
	t.Status &^= statusUnsync
	t.Maxerror, t.Esterror = 1_500_000, 100_000 // microseconds
	_, setErr := unix.Adjtimex(&t)
	return errors.Join(err, setErr)
}
