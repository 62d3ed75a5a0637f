package load

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// session is one reader's RTSP conversation up to PLAY, in blocking mode on a raw socket.
type session struct {
	fd      int
	in      *bufio.Reader
	url     *url.URL
	base    string // request URI without credentials
	cseq    int
	auth    challenge
	id      string
	udpRTP  int // sockets of a UDP reader, else -1
	udpRTCP int
}

type challenge struct {
	realm, nonce string
	algorithm    string
	new          func() hash.Hash
}

type fdReader int

func (f fdReader) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), p)
		switch {
		case errors.Is(err, unix.EINTR): // a socket with a time limit is not restarted by the kernel
			continue
		case n == 0 && err == nil:
			return 0, io.EOF
		}
		return max(n, 0), err
	}
}

// dial connects a socket in blocking mode, out of the runtime's poller, whose reads and writes end after five seconds.
func dial(host string, receiveBuffer int) (int, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		if receiveBuffer == 0 {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}), err)
	}}
	c, err := dialer.Dial("tcp4", host)
	if err != nil {
		return -1, err
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return -1, err
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		return -1, err
	}
	limit := unix.NsecToTimeval(int64(5 * time.Second))
	return fd, errors.Join(unix.SetNonblock(fd, false),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit))
}

// open goes through DESCRIBE and SETUP and sends PLAY; its answer comes in with the stream.
func open(u *url.URL, udp bool, receiveBuffer int) (*session, error) {
	fd, err := dial(u.Host, receiveBuffer)
	if err != nil {
		return nil, err
	}
	s := &session{fd: fd, in: bufio.NewReader(fdReader(fd)), url: u, udpRTP: -1, udpRTCP: -1}
	bare := *u
	bare.User = nil
	s.base = bare.String()
	if err := s.play(udp); err != nil {
		s.close()
		return nil, fmt.Errorf("%s: %w", s.base, err)
	}
	return s, nil
}

func (s *session) close() {
	for _, fd := range []int{s.fd, s.udpRTP, s.udpRTCP} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (s *session) play(udp bool) error {
	describe, err := s.do("DESCRIBE", s.base, "Accept: application/sdp")
	if err != nil {
		return err
	}
	setup, err := s.setUp(describe, udp)
	for try := 1; err != nil && udp && try < setUpTries; try++ {
		setup, err = s.setUp(describe, udp)
	}
	if err != nil {
		return err
	}
	s.id, _, _ = strings.Cut(setup.header["session"], ";")
	return s.send("PLAY", s.base, "Range: npt=0-")
}

// setUpTries is how often a port pair is tried: gortsplib refuses one that an earlier session of its still holds.
const setUpTries = 5

// setUp asks for the transport, over UDP with a new pair of ports.
func (s *session) setUp(describe response, udp bool) (response, error) {
	transport := "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
	if udp {
		for _, fd := range []*int{&s.udpRTP, &s.udpRTCP} {
			if *fd >= 0 {
				unix.Close(*fd)
				*fd = -1
			}
		}
		port, err := s.bindPair()
		if err != nil {
			return response{}, err
		}
		transport = fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", port, port+1)
	}
	return s.do("SETUP", s.control(describe), transport)
}

// control finds the URL of the first video media (RFC 2326 C.1.1).
func (s *session) control(describe response) string {
	_, media, _ := strings.Cut(describe.body, "m=video")
	_, control, ok := strings.Cut(media, "a=control:")
	if !ok {
		return s.base
	}
	control, _, _ = strings.Cut(control, "\n")
	control = strings.TrimSpace(control)
	if strings.Contains(control, "://") {
		return control
	}
	base := describe.header["content-base"]
	if base == "" {
		base = s.base
	}
	return strings.TrimSuffix(base, "/") + "/" + control
}

// bindPair binds an even port and the odd one above it.
func (s *session) bindPair() (int, error) {
	for range 100 {
		rtp, port, err := bindUDP(0)
		if err != nil {
			return 0, err
		}
		if port%2 == 0 {
			if rtcp, _, err := bindUDP(port + 1); err == nil {
				s.udpRTP, s.udpRTCP = rtp, rtcp
				return port, nil
			}
		}
		unix.Close(rtp)
	}
	return 0, errors.New("no free pair of UDP ports")
}

func bindUDP(port int) (fd, bound int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, 0, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, addr.(*unix.SockaddrInet4).Port, nil
}

type response struct {
	code   int
	header map[string]string
	body   string
}

// do sends a request and reads its answer; a first 401 is answered with the credential of the URL.
func (s *session) do(method, uri string, header ...string) (response, error) {
	for range 2 {
		if err := s.send(method, uri, header...); err != nil {
			return response{}, err
		}
		r, err := s.receive()
		if err != nil {
			return response{}, fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case r.code == 401 && s.auth.nonce == "" && s.url.User != nil:
			s.auth = parseChallenge(r.header["www-authenticate"])
		case r.code != 200:
			return response{}, fmt.Errorf("%s: status %d", method, r.code)
		default:
			return r, nil
		}
	}
	return response{}, fmt.Errorf("%s: status 401", method)
}

func (s *session) send(method, uri string, header ...string) error {
	s.cseq++
	lines := append([]string{method + " " + uri + " RTSP/1.0", "CSeq: " + strconv.Itoa(s.cseq)}, header...)
	if s.id != "" {
		lines = append(lines, "Session: "+s.id)
	}
	if s.auth.nonce != "" {
		lines = append(lines, "Authorization: "+s.auth.answer(s.url.User, method, uri))
	}
	_, err := unix.Write(s.fd, []byte(strings.Join(lines, "\r\n")+"\r\n\r\n"))
	return err
}

func (s *session) receive() (response, error) {
	line, err := s.in.ReadString('\n')
	if err != nil {
		return response{}, err
	}
	r := response{header: map[string]string{}}
	if _, err := fmt.Sscanf(line, "RTSP/1.0 %d", &r.code); err != nil {
		return response{}, fmt.Errorf("answer %q", strings.TrimSpace(line))
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return response{}, err
		}
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			break
		}
		name, value = strings.ToLower(name), strings.TrimSpace(value)
		if name == "www-authenticate" && r.header[name] != "" {
			continue // the first challenge is the one the server likes best
		}
		r.header[name] = value
	}
	length, _ := strconv.Atoi(r.header["content-length"])
	body := make([]byte, min(max(length, 0), 1<<16))
	_, err = io.ReadFull(s.in, body)
	r.body = string(body)
	return r, err
}

// parseChallenge reads a Digest challenge (RFC 7616).
func parseChallenge(header string) challenge {
	c := challenge{new: md5.New}
	for field := range strings.SplitSeq(strings.TrimPrefix(header, "Digest "), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "realm":
			c.realm = value
		case "nonce":
			c.nonce = value
		case "algorithm":
			c.algorithm = value
			if value == "SHA-256" {
				c.new = sha256.New
			}
		}
	}
	return c
}

func (c challenge) sum(parts ...string) string {
	h := c.new()
	io.WriteString(h, strings.Join(parts, ":"))
	return fmt.Sprintf("%x", h.Sum(nil))
}

func (c challenge) answer(user *url.Userinfo, method, uri string) string {
	name := user.Username()
	password, _ := user.Password()
	proof := c.sum(c.sum(name, c.realm, password), c.nonce, c.sum(method, uri))
	out := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`,
		name, c.realm, c.nonce, uri, proof)
	if c.algorithm != "" {
		out += ", algorithm=" + c.algorithm
	}
	return out
}
