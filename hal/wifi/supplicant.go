package wifi

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/ocellus/ocellus/hal"
	"golang.org/x/sys/unix"
)

// answerPatience is for an answer of wpa_supplicant, which has one thread and answers between two other things.
const answerPatience = 3 * time.Second

// socket is one end of wpa_supplicant's control interface: requests go out and answers come in, datagram by datagram.
type socket struct {
	f      *os.File
	buffer [maxWords + 1]byte
}

// dial reaches wpa_supplicant's socket. The kernel gives ours an abstract address (unix(7), autobind): it is of no
// importance whose files wpa_supplicant may write to, and two agents have two addresses.
func dial(path string) (*socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{})
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, gone(err)
	}
	return &socket{f: os.NewFile(uintptr(fd), path)}, nil
}

// gone makes hal.ErrClosed of what says that nobody is at the other end.
func gone(err error) error {
	for _, is := range []error{unix.ECONNREFUSED, unix.ENOENT, unix.ENOTCONN, unix.ECONNRESET, fs.ErrClosed} {
		if errors.Is(err, is) {
			return fmt.Errorf("wpa_supplicant is not there: %w (%w)", hal.ErrClosed, err)
		}
	}
	return fmt.Errorf("wpa_supplicant: %w", err)
}

// receive waits for a datagram, which is lent until the next call.
func (s *socket) receive() ([]byte, error) {
	n, err := s.f.Read(s.buffer[:])
	if err != nil && !errors.Is(err, io.EOF) { // a datagram of no bytes: an empty list
		return nil, gone(err)
	}
	return s.buffer[:n], nil
}

// supplicant asks wpa_supplicant, and is told of events if it wants. It lives for one call of the radio.
type supplicant struct {
	*socket
	told *socket
	news chan event    // one closer: listen; capacity 64; full: listen waits, and wpa_supplicant keeps some
	done chan struct{} // closed by close
	end  chan struct{} // closed when listen has ended
}

// connect reaches wpa_supplicant at path.
func connect(path string) (*supplicant, error) {
	asks, err := dial(path)
	if err != nil {
		return nil, err
	}
	return &supplicant{socket: asks, done: make(chan struct{}), end: make(chan struct{})}, nil
}

// attach wants to be told of events.
func (s *supplicant) attach() (err error) {
	if s.told, err = dial(s.f.Name()); err != nil {
		return err
	}
	if err := s.told.demand("ATTACH"); err != nil {
		return err
	}
	if err := s.told.f.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.news = make(chan event, 64)
	go s.listen()
	return nil
}

// listen hands on what wpa_supplicant tells.
func (s *supplicant) listen() {
	defer close(s.end)
	defer close(s.news)
	for {
		datagram, err := s.told.receive()
		if err != nil {
			return
		}
		e, err := parseEvent(datagram)
		if err != nil || strings.HasPrefix(e.name, "CTRL-EVENT-BSS-") {
			continue // no event for us, or one of the many that a scan brings: it decides nothing
		}
		select {
		case s.news <- e:
		case <-s.done:
			return
		}
	}
}

// close gives everything back. wpa_supplicant forgets who does not take its events.
func (s *supplicant) close() {
	close(s.done)
	if s.told != nil {
		if s.news != nil {
			_, _ = s.told.f.Write([]byte("DETACH"))
		}
		_ = s.told.f.Close()
	}
	if s.news != nil {
		<-s.end
	}
	_ = s.f.Close()
}

// ask sends a request and returns the answer. Errors name the first word alone: the others may be a password. After an
// error the socket is of no more use: a late answer would be taken for that to another request.
func (s *socket) ask(words ...string) (string, error) {
	if err := s.f.SetDeadline(time.Now().Add(answerPatience)); err != nil {
		return "", gone(err)
	}
	if _, err := s.f.Write([]byte(strings.Join(words, " "))); err != nil {
		return "", fmt.Errorf("%s: %w", words[0], gone(err))
	}
	answer, err := s.receive()
	if err != nil {
		return "", fmt.Errorf("%s: %w", words[0], err)
	}
	return string(answer), nil
}

// errFail is wpa_supplicant's refusal.
var errFail = errors.New("wpa_supplicant refuses")

// demand sends a request that has to be answered with OK.
func (s *socket) demand(words ...string) error {
	answer, err := s.ask(words...)
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "OK" {
		return fmt.Errorf("%s: %w: %q", words[0], errFail, answer)
	}
	return nil
}
