package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// The status port speaks just enough HTTP/1.1 (RFC 9112) for curl, a browser and Prometheus: one GET a connection.
// net/http would cost 0.7 MB of the armv7 binary for these two pages.
const (
	maxHead       = 8 << 10 // bytes of a request
	maxHTTP       = 8       // connections at once; further ones wait in the kernel's queue
	httpPatience  = 5 * time.Second
	statusListens = "127.0.0.1:9554"
)

// page is one answer.
type page struct {
	code int
	kind string // Content-Type
	body []byte
}

func textPage(code int, text string) page {
	return page{code, "text/plain; charset=utf-8", []byte(text + "\n")}
}

// statusServer answers on the loopback port.
type statusServer struct {
	address string
	pages   map[string]func() page
	log     *slog.Logger
	in      net.Listener // open for the next Run; nil: Run opens one
}

func (a *agent) openStatus(address string, log *slog.Logger) (*statusServer, error) {
	s := &statusServer{address: address, pages: a.pages(), log: log.With("part", "status")}
	if err := s.listen(); err != nil {
		return nil, fmt.Errorf("%w; choose another address with status.address", err)
	}
	return s, nil
}

func (s *statusServer) listen() (err error) {
	if s.in, err = net.Listen("tcp", s.address); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	return nil
}

// Run serves until ctx ends.
func (s *statusServer) Run(ctx context.Context) error {
	if s.in == nil {
		if err := s.listen(); err != nil {
			return err
		}
	}
	in := s.in
	s.in = nil
	defer in.Close()
	stop := context.AfterFunc(ctx, func() { _ = in.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	room := make(chan struct{}, maxHTTP) // a slot for each connection; full: Accept waits
	for {
		room <- struct{}{}
		conn, err := in.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("status: %w", err)
		}
		open.Go(func() {
			defer func() { <-room }()
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			_ = conn.SetDeadline(time.Now().Add(httpPatience))
			answerHTTP(conn, s.pages)
		})
	}
}

// answerHTTP reads one request and writes one answer.
func answerHTTP(conn io.ReadWriter, pages map[string]func() page) {
	method, path, host, err := readHTTP(bufio.NewReader(io.LimitReader(conn, maxHead)))
	var p page
	build := pages[path]
	switch {
	case errors.Is(err, io.EOF):
		return // came and went
	case err != nil:
		p = textPage(400, err.Error())
	case !loopbackHost(host):
		p = textPage(403, "this port is for the machine itself")
	case method != "GET" && method != "HEAD":
		p = textPage(405, "want GET")
	case build == nil:
		p = textPage(404, "there are /healthz and /metrics")
	default:
		p = build()
	}
	words := map[int]string{200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
		500: "Internal Server Error", 503: "Service Unavailable"}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"+
		"X-Content-Type-Options: nosniff\r\nConnection: close\r\n", p.code, words[p.code], p.kind, len(p.body))
	if p.code == 405 {
		b.WriteString("Allow: GET, HEAD\r\n")
	}
	b.WriteString("\r\n")
	if method != "HEAD" {
		b.Write(p.body)
	}
	_, _ = conn.Write(b.Bytes()) // the client is gone, or it has it
}

var errHTTP = errors.New("this is no HTTP/1 request")

// readHTTP reads the head of a request: the request line and the one field that counts. io.EOF: there was nothing.
func readHTTP(from *bufio.Reader) (method, path, host string, err error) {
	line, err := httpLine(from)
	if err != nil {
		if line == "" && errors.Is(err, io.EOF) {
			return "", "", "", io.EOF
		}
		return "", "", "", errHTTP
	}
	f := strings.Split(line, " ")
	if len(f) != 3 || !strings.HasPrefix(f[1], "/") || f[2] != "HTTP/1.1" && f[2] != "HTTP/1.0" {
		return "", "", "", errHTTP
	}
	hosts := 0
	for {
		line, err := httpLine(from)
		if err != nil {
			return "", "", "", errHTTP
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return "", "", "", errHTTP
		}
		if strings.EqualFold(name, "Host") {
			host, hosts = strings.TrimSpace(value), hosts+1
		}
	}
	if hosts > 1 || hosts == 0 && f[2] == "HTTP/1.1" {
		return "", "", "", fmt.Errorf("%w: want one Host", errHTTP)
	}
	path, _, _ = strings.Cut(f[1], "?")
	return f[0], path, host, nil
}

// httpLine reads a line without its end (RFC 9112 2.2: LF alone may end it too).
func httpLine(from *bufio.Reader) (string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return line, err
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// loopbackHost refuses questions that a page of another site sends through a browser of this machine (DNS rebinding):
// they carry that site's name. An old client sends none.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "" || host == "localhost" || ip != nil && ip.IsLoopback()
}
