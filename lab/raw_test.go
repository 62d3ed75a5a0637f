package lab

import (
	"bufio"
	"crypto/md5" //nolint:gosec // what RFC 2617 asks for
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// raw is an RTSP client that sends what it likes.
type raw struct {
	t            *testing.T
	conn         net.Conn
	in           *bufio.Reader
	base         string
	user         *url.Userinfo
	realm, nonce string
	cseq         int
	session      string
}

// answer is a response, its header keys in lower case.
type answer struct {
	code   int
	header map[string]string
	body   string
}

// dialRaw connects to an agent; everything ends after 20 s.
func dialRaw(t *testing.T, a *agent) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", a.ports.RTSP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, conn: conn, in: bufio.NewReader(conn), base: "rtsp://" + a.ports.RTSP + "/main", user: a.user}
}

// write sends bytes; a peer that has hung up is no fault of the test.
func (r *raw) write(s string) { _, _ = io.WriteString(r.conn, s) }

// request spells a request, with the credential once a challenge has come.
func (r *raw) request(method, uri string, header ...string) string {
	r.cseq++
	lines := append([]string{method + " " + uri + " RTSP/1.0", "CSeq: " + strconv.Itoa(r.cseq)}, header...)
	if r.session != "" {
		lines = append(lines, "Session: "+r.session)
	}
	if r.nonce != "" {
		sum := func(parts ...string) string {
			return fmt.Sprintf("%x", md5.Sum([]byte(strings.Join(parts, ":")))) //nolint:gosec // RFC 2617
		}
		password, _ := r.user.Password()
		proof := sum(sum(r.user.Username(), r.realm, password), r.nonce, sum(method, uri))
		lines = append(lines, fmt.Sprintf(`Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`,
			r.user.Username(), r.realm, r.nonce, uri, proof))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// do sends a request and reads the answer; code 0 means that the agent hung up.
func (r *raw) do(method, uri string, header ...string) answer {
	r.t.Helper()
	r.write(r.request(method, uri, header...))
	return r.read()
}

// read reads one answer and skips the media in front of it.
func (r *raw) read() answer {
	for {
		first, err := r.in.Peek(1)
		if err != nil {
			return answer{}
		}
		if first[0] != '$' {
			break
		}
		frame := make([]byte, 4)
		if _, err := io.ReadFull(r.in, frame); err != nil {
			return answer{}
		}
		if _, err := r.in.Discard(int(frame[2])<<8 | int(frame[3])); err != nil {
			return answer{}
		}
	}
	line, err := r.in.ReadString('\n')
	if err != nil {
		return answer{}
	}
	a := answer{header: map[string]string{}}
	if _, err := fmt.Sscanf(line, "RTSP/1.0 %d", &a.code); err != nil {
		r.t.Errorf("answer %q", line)
		return answer{}
	}
	for {
		line, err := r.in.ReadString('\n')
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if err != nil || !ok {
			break
		}
		a.keep(strings.ToLower(name), strings.TrimSpace(value))
	}
	length, _ := strconv.Atoi(a.header["content-length"])
	body := make([]byte, length)
	_, _ = io.ReadFull(r.in, body)
	a.body = string(body)
	return a
}

// keep keeps a header; of several challenges the one that this client can answer.
func (a *answer) keep(name, value string) {
	if name == "www-authenticate" && strings.Contains(value, "SHA-256") {
		return
	}
	a.header[name] = value
}

// login gets a challenge and the description with it.
func (r *raw) login() answer {
	r.t.Helper()
	a := r.do("DESCRIBE", r.base, "Accept: application/sdp")
	if a.code != 401 || a.body != "" {
		r.t.Errorf("anonymous DESCRIBE: %d %q, want 401 and nothing else", a.code, a.body)
	}
	for _, field := range strings.Split(strings.TrimPrefix(a.header["www-authenticate"], "Digest "), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "realm":
			r.realm = strings.Trim(value, `"`)
		case "nonce":
			r.nonce = strings.Trim(value, `"`)
		}
	}
	a = r.do("DESCRIBE", r.base, "Accept: application/sdp")
	if a.code != 200 {
		r.t.Errorf("DESCRIBE with the credential: %d", a.code)
	}
	return a
}

// setup logs in and sets a session up over TCP.
func (r *raw) setup() answer {
	r.t.Helper()
	described := r.login()
	a := r.do("SETUP", r.control(described), "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	if a.code != 200 {
		r.t.Errorf("SETUP: %d", a.code)
	}
	r.session, _, _ = strings.Cut(a.header["session"], ";")
	return a
}

// control is the URL of the video in a description.
func (r *raw) control(described answer) string {
	_, media, _ := strings.Cut(described.body, "m=video")
	_, control, _ := strings.Cut(media, "a=control:")
	control, _, _ = strings.Cut(control, "\r\n")
	if strings.Contains(control, "://") {
		return control
	}
	base := described.header["content-base"]
	if base == "" {
		base = r.base
	}
	return strings.TrimSuffix(base, "/") + "/" + control
}
