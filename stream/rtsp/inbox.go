package rtsp

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"strings"
)

// Bounds of what a client may send.
const (
	maxRequest  = 16 << 10 // a request's line and header fields
	maxBody     = 4 << 10
	maxFrame    = 2 << 10 // an interleaved frame: RTCP; larger ones are passed over
	inboxSize   = 1 << 10 // the buffer of a connection at rest
	frameHeader = 4
)

// Why a request can't be read. The connection ends after the answer, because where the next request begins is unknown.
var (
	errHeaderTooLarge = errors.New("request is too large")
	errBodyTooLarge   = errors.New("request body is too large")
	errBadLength      = errors.New("bad Content-Length")
)

// inbox cuts what a client sends into requests and interleaved frames (RFC 2326 10.12).
type inbox struct {
	buf     []byte // [from:to] is not looked at yet
	from    int
	to      int
	scanned int // bytes from from on that hold no end of a header
	skip    int // bytes of an oversized frame that are still to come
}

// inMessage is what next returns: the bytes of one request, or of one frame without its header. They are valid until
// the next call.
type inMessage struct {
	request []byte
	frame   []byte
	channel uint8
}

// partial reports whether a message has begun and is not complete.
func (b *inbox) partial() bool { return b.to > b.from || b.skip > 0 }

// next returns the next complete message; ok is false if there is none yet.
func (b *inbox) next() (m inMessage, ok bool, err error) {
	b.pass()
	if b.skip > 0 || b.from == b.to {
		return m, false, nil
	}
	if b.buf[b.from] == '$' {
		m, ok = b.frame()
		return m, ok, nil
	}
	return b.request()
}

// pass leaves out what is to be skipped, and line ends before a request.
func (b *inbox) pass() {
	n := min(b.skip, b.to-b.from)
	b.skip -= n
	b.from += n
	for b.scanned == 0 && b.from < b.to && (b.buf[b.from] == '\r' || b.buf[b.from] == '\n') {
		b.from++
	}
}

func (b *inbox) frame() (m inMessage, ok bool) {
	have := b.buf[b.from:b.to]
	if len(have) < frameHeader {
		return m, false
	}
	size := frameHeader + int(have[2])<<8 + int(have[3])
	if size > maxFrame {
		b.skip = size
		b.pass()
		return inMessage{frame: []byte{}, channel: have[1]}, b.skip == 0
	}
	if len(have) < size {
		return m, false
	}
	b.from += size
	return inMessage{frame: have[frameHeader:size], channel: have[1]}, true
}

func (b *inbox) request() (m inMessage, ok bool, err error) {
	have := b.buf[b.from:b.to]
	end := bytes.Index(have[max(b.scanned-3, 0):], []byte("\r\n\r\n"))
	if end < 0 {
		if b.scanned = len(have); len(have) >= maxRequest {
			return m, false, errHeaderTooLarge
		}
		return m, false, nil
	}
	size := max(b.scanned-3, 0) + end + 4
	if size > maxRequest {
		return m, false, errHeaderTooLarge
	}
	body, err := contentLength(have[:size])
	if err != nil {
		return m, false, err
	}
	if len(have) < size+body {
		return m, false, nil
	}
	b.from += size + body
	b.scanned = 0
	return inMessage{request: have[:size+body]}, true, nil
}

// contentLength finds the size of the body that a header announces.
func contentLength(header []byte) (int, error) {
	v, ok := findField(header, "Content-Length")
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 31)
	switch {
	case err != nil:
		return 0, errBadLength
	case n > maxBody:
		return 0, errBodyTooLarge
	}
	return int(n), nil
}

// findField returns the value of the first header field of that name, however little of the request makes sense.
func findField(header []byte, name string) (string, bool) {
	for line := range bytes.SplitSeq(header, []byte("\n")) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && strings.EqualFold(string(bytes.TrimSpace(key)), name) {
			return string(bytes.TrimSpace(value)), true
		}
	}
	return "", false
}

// fill reads more. The buffer grows with a request, and is let go afterwards.
func (b *inbox) fill(conn net.Conn) error {
	if b.from == b.to {
		b.from, b.to = 0, 0
		if cap(b.buf) != inboxSize {
			b.buf = make([]byte, inboxSize)
		}
	}
	if b.from > 0 {
		b.to = copy(b.buf, b.buf[b.from:b.to])
		b.from = 0
	}
	if b.to == len(b.buf) {
		grown := make([]byte, min(2*len(b.buf), maxRequest+maxBody))
		copy(grown, b.buf)
		b.buf = grown
	}
	n, err := conn.Read(b.buf[b.to:])
	b.to += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}
