package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A service that ends is started again: after a second, and after ever more up to half a minute if it ends at once.
const (
	restartDelay = time.Second
	longestDelay = 30 * time.Second
	livedWell    = 20 * time.Second
)

// services keeps programs running and reaps every process that ends on the board.
type services struct {
	trial *trial // nil where the slot is not on trial

	mu       sync.Mutex // guards the rest
	list     []*running
	stopping bool
}

type running struct {
	service
	pid     int // 0 while it does not run
	started time.Time
	delay   time.Duration
	linked  bool  // its network interface is connected
	bell    *bell // nil: it is started without being asked for
}

func newServices(list []service, t *trial) *services {
	s := &services{trial: t}
	for _, one := range list {
		s.list = append(s.list, &running{service: one, delay: restartDelay})
	}
	return s
}

// run starts everything and reaps for ever.
func (s *services) run() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	for _, r := range s.list {
		switch {
		case r.socket != "":
			s.hang(r)
		case r.wait > 0:
			time.AfterFunc(r.wait, func() { s.start(r) })
		default:
			s.start(r)
		}
	}
	for range children {
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if err != nil || pid <= 0 {
				break
			}
			s.ended(pid, status)
		}
	}
}

// hang makes a service's socket, and has the service started when somebody comes.
func (s *services) hang(r *running) {
	b, err := hangBell(r.socket)
	if err != nil {
		tell("%s does not start: %v", r.name, err)
		return
	}
	r.bell = b
	go s.due(r)
}

// due starts a service, one with a socket when somebody has come.
func (s *services) due(r *running) {
	if r.bell != nil {
		if err := r.bell.await(); err != nil {
			tell("%s does not start: %v", r.name, err)
			return
		}
	}
	s.start(r)
}

func (s *services) start(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || r.pid != 0 || r.link != "" && !r.linked {
		return
	}
	pid, err := launch(r.service, r.bell)
	r.started = time.Now()
	if err != nil {
		tell("%s does not start: %v", r.name, err)
		s.again(r)
		return
	}
	r.pid = pid
	tell("%s started, process %d", r.name, pid)
}

// ended notes the end of a process. Orphans of others end here too, without a word.
func (s *services) ended(pid int, status syscall.WaitStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.list {
		if r.pid != pid {
			continue
		}
		r.pid = 0
		how := fmt.Sprintf("with code %d", status.ExitStatus())
		if status.Signaled() {
			how = fmt.Sprintf("by signal %d", status.Signal())
		}
		tell("%s ended %s", r.name, how)
		try("note", note(r.name, how))
		if !r.once && !s.stopping {
			s.again(r)
			s.trial.ended(r.name, r.trial)
		}
	}
}

// endedFolder holds how each service ended last, for its next start (board reads it).
const endedFolder = "/run/ended"

// note leaves a service's end to whom it concerns.
func note(name, how string) error {
	if err := os.MkdirAll(endedFolder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(endedFolder, name), []byte(how+"\n"), 0o644)
}

// again starts a service after its delay; the caller holds the lock.
func (s *services) again(r *running) {
	if time.Since(r.started) > livedWell {
		r.delay = restartDelay
	}
	time.AfterFunc(r.delay, func() { s.due(r) })
	r.delay = min(2*r.delay, longestDelay)
}

// waitFor reports whether any service depends on this network interface.
func (s *services) waitFor(name string) bool {
	return slices.ContainsFunc(s.list, func(r *running) bool { return r.link == name })
}

// linkChanged starts and ends the services of a network interface.
func (s *services) linkChanged(name string, connected bool) {
	for _, r := range s.list {
		if r.link == name && s.linkOf(r, connected) {
			s.start(r)
		}
	}
}

// linkOf notes the state of a service's interface, ends the service with the connection, and reports whether it has to
// start.
func (s *services) linkOf(r *running, connected bool) (start bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.linked == connected {
		return false
	}
	r.linked = connected
	r.delay = restartDelay
	if !connected && r.pid != 0 {
		_ = syscall.Kill(r.pid, syscall.SIGTERM)
	}
	return connected
}

// stop asks every service to end and waits for them.
func (s *services) stop(patience time.Duration) {
	s.signal(syscall.SIGTERM)
	for end := time.Now().Add(patience); s.signal(0) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}

// signal reports whether any service still runs.
func (s *services) signal(sig syscall.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	alive := false
	for _, r := range s.list {
		if r.pid != 0 {
			alive = true
			_ = syscall.Kill(r.pid, sig)
		}
	}
	return alive
}

// launch starts a program in a session of its own. Whoever is not root gets no_new_privs, and a bounding set of nothing
// but its capabilities: both belong to a thread and are inherited, so a thread is made for it and thrown away.
func launch(s service, b *bell) (int, error) {
	type answer struct {
		pid int
		err error
	}
	in, err := os.Open(map[bool]string{true: "/dev/console", false: os.DevNull}[s.console])
	if err != nil {
		return 0, err
	}
	defer in.Close()
	answers := make(chan answer)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		if s.uid != 0 {
			if err := giveUpPrivileges(s.caps); err != nil {
				answers <- answer{0, err}
				return
			}
		}
		pid, err := syscall.ForkExec(s.argv[0], s.argv, attributes(s, in.Fd(), b))
		answers <- answer{pid, err}
	}()
	a := <-answers
	return a.pid, a.err
}

func attributes(s service, in uintptr, b *bell) *syscall.ProcAttr {
	a := &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/sbin:/bin:/usr/bin", "HOME=/"},
		Files: []uintptr{in, 1, 2},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if b != nil {
		a.Files = append(a.Files, b.fd)
	}
	if s.uid != 0 {
		a.Sys.AmbientCaps = s.caps
		a.Sys.Credential = &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid), Groups: s.groups}
	}
	return a
}

// giveUpPrivileges is about the calling thread.
func giveUpPrivileges(keep []uintptr) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(keep, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL { // newer than the kernel
			return err
		}
	}
	return nil
}
