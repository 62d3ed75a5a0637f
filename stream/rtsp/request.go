package rtsp

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const (
	maxURI     = 2048
	maxCSeq    = 10   // digits
	parserSize = 2100 // the parser wants to see a whole field, which has 2048 bytes at most
)

// request is a parsed request and what the parser does not tell.
type request struct {
	base.Request
	uri  string // as the client wrote it; its digest covers this
	cseq string
}

// parse parses the bytes of one request. On failure the status says why, and the request has at least the
// CSeq, as far as there is one.
func (p *parsers) parse(b []byte) (*request, base.StatusCode) {
	r := &request{cseq: cseqOf(b)}
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	parts := strings.Split(string(line), " ")
	if len(parts) != 3 {
		return r, base.StatusBadRequest
	}
	r.uri = parts[1]
	switch {
	case len(r.uri) > maxURI:
		return r, base.StatusRequestURITooLong
	case strings.HasPrefix(parts[2], "RTSP/") && parts[2] != "RTSP/1.0":
		return r, base.StatusRTSPVersionNotSupported
	}
	br, _ := p.pool.Get().(*bufio.Reader)
	if br == nil {
		br = bufio.NewReaderSize(nil, parserSize)
	}
	defer p.pool.Put(br)
	br.Reset(bytes.NewReader(b))
	if err := r.Unmarshal(br); err != nil || r.cseq == "" {
		return r, base.StatusBadRequest
	}
	return r, 0
}

// parsers recycles what parsing needs.
type parsers struct{ pool sync.Pool } // of *bufio.Reader

// cseqOf returns the CSeq of a request, "" if there is no good one.
func cseqOf(b []byte) string {
	v, _ := findField(b, "CSeq")
	if len(v) > maxCSeq {
		return ""
	}
	if _, err := strconv.ParseUint(v, 10, 64); err != nil {
		return ""
	}
	return v
}

// statusOf is what a request is answered that can't be read.
func statusOf(err error) base.StatusCode {
	switch {
	case errors.Is(err, errHeaderTooLarge), errors.Is(err, errBodyTooLarge):
		return base.StatusRequestEntityTooLarge
	default:
		return base.StatusBadRequest
	}
}

// status makes a response of nothing but a status.
func status(code base.StatusCode) *base.Response {
	return &base.Response{StatusCode: code, Header: base.Header{}}
}

// field returns the only value of a header field, "" if there is none or more.
func (r *request) field(name string) string {
	if v := r.Header[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// path returns the path of the request's URL, "" for "*".
func (r *request) path() string {
	if r.URL == nil {
		return ""
	}
	return r.URL.Path
}
