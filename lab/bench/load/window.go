package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// window is what was read at its begin.
type window struct {
	at          time.Time
	cpu, client time.Duration
}

func (l *Load) begin() (window, error) {
	for _, r := range l.readers {
		r.clear()
	}
	cpu, err := ProcessCPU(l.config.PID)
	if err != nil {
		return window{}, err
	}
	client, err := ProcessCPU(os.Getpid())
	return window{time.Now(), cpu, client}, err
}

func (l *Load) finish(w window) (Result, error) {
	cpu, err := ProcessCPU(l.config.PID)
	if err != nil {
		return Result{}, err
	}
	client, err := ProcessCPU(os.Getpid())
	if err != nil {
		return Result{}, err
	}
	r := Result{Readers: len(l.readers), Window: time.Since(w.at), CPU: cpu - w.cpu, ClientCPU: client - w.client}
	if r.RSS, r.PeakRSS, err = Memory(l.config.PID); err != nil {
		return Result{}, err
	}
	if !l.config.Stalled {
		l.count(&r)
	}
	return r, nil
}

func (l *Load) count(r *Result) {
	// What was dropped shows in the numbers and timestamps; too few access units in all show that a reader's or the
	// server's stream stood still. At the ends of the window some pictures fall to the other side for some readers,
	// more where the machine is busy: a twentieth is allowed, and a tenth for the server as a whole.
	most := 0
	for _, reader := range l.readers {
		most = max(most, reader.units)
	}
	want := max(most-2-most/20, int(0.9*r.Window.Seconds()*90000/float64(l.config.Ticks)))
	for _, reader := range l.readers {
		r.Units += reader.units
		r.Gaps += reader.gaps
		r.Missing += reader.missing
		r.Latency = append(r.Latency, reader.latency...)
		if reader.units < want {
			r.Short++
			reader.fault += fmt.Sprintf("reader %d: %d access units, not %d", reader.id, reader.units, want)
		}
		if reader.dead {
			r.Dead++
		}
		if reader.fault != "" && len(r.Faults) < 3 {
			r.Faults = append(r.Faults, reader.fault)
		}
	}
}

// ProcessCPU reads the CPU clock of a process: user and system time of all its threads, in nanoseconds and not in the
// ticks of /proc/PID/stat (clock_getcpuclockid(3): the process id inverted, above three bits that say which clock).
func ProcessCPU(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, fmt.Errorf("cpu clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// Memory returns the resident set of a process and its peak, in KiB.
func Memory(pid int) (rss, peak int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "VmRSS":
			rss = n
		case "VmHWM":
			peak = n
		}
	}
	return rss, peak, nil
}
