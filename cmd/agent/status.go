package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/ocellus/ocellus/internal/supervise"
	"github.com/ocellus/ocellus/stream"
	"github.com/ocellus/ocellus/stream/rtsp"
)

// statusDocument is what /healthz and agent status --json tell. Its keys are wire format: only ever added.
type statusDocument struct {
	Healthy       bool           `json:"healthy"`
	Release       string         `json:"release"`
	Board         string         `json:"board"`
	UptimeSeconds float64        `json:"uptime_seconds"`
	ResidentBytes int64          `json:"resident_bytes"`
	Goroutines    int            `json:"goroutines"`
	Camera        cameraStatus   `json:"camera"`
	Streams       []streamStatus `json:"streams"`
	RTSP          rtsp.Stats     `json:"rtsp"`
	Parts         []partStatus   `json:"parts"`
}

// cameraStatus is the camera as it runs now.
type cameraStatus struct {
	Name     string            `json:"name"`
	Driver   string            `json:"driver"`
	Path     string            `json:"path"`
	Mode     string            `json:"mode,omitempty"` // empty while it is closed
	Why      string            `json:"why,omitempty"`  // why that mode
	Starts   uint64            `json:"starts"`
	Failures uint64            `json:"failures"`
	Faults   map[string]uint64 `json:"faults,omitempty"` // of what it delivered, by kind
}

// streamStatus is a stream with what it carries and who takes it.
type streamStatus struct {
	stream.HubStats
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Encoder string `json:"encoder,omitempty"`
	Readers int    `json:"readers"` // sessions that play
}

type partStatus struct {
	Name     string `json:"name"`
	Up       bool   `json:"up"`
	Restarts int    `json:"restarts"`
	Error    string `json:"error,omitempty"` // of the last failure
}

// status gathers the facts of this moment.
func (a *agent) status(now time.Time) statusDocument {
	src := a.source.Stats()
	doc := statusDocument{
		Healthy:       true,
		Release:       release,
		Board:         a.board.Name,
		UptimeSeconds: now.Sub(a.began).Seconds(),
		ResidentBytes: residentBytes(),
		Goroutines:    runtime.NumGoroutine(),
		RTSP:          a.server.Stats(),
		Camera: cameraStatus{
			Name: src.Camera.Name, Driver: src.Camera.Driver, Path: src.Camera.Path, Why: src.Why,
			Starts: src.Starts, Failures: src.Failures, Faults: src.Faults,
		},
	}
	if src.Mode.Width > 0 {
		doc.Camera.Mode = src.Mode.String()
	}
	for _, s := range src.Streams {
		st := streamStatus{HubStats: s, Width: s.Info.Width, Height: s.Info.Height, Encoder: s.Info.Encoder}
		for _, r := range doc.RTSP.Streams {
			for _, n := range r.Readers {
				if r.Name == s.Name {
					st.Readers += n
				}
			}
		}
		doc.Streams = append(doc.Streams, st)
		doc.Healthy = doc.Healthy && s.State != stream.Stalled && s.State != stream.Failed
	}
	for _, p := range a.parts() {
		doc.Parts = append(doc.Parts, partStatus{p.Name, p.Up, p.Restarts, p.LastErr})
		doc.Healthy = doc.Healthy && p.Up
	}
	return doc
}

// parts returns the supervised parts, none before there is a supervisor.
func (a *agent) parts() []supervise.State {
	if a.supervisor == nil {
		return nil
	}
	return a.supervisor.States()
}

// statusServer answers on the loopback port.
type statusServer struct {
	address string
	handler http.Handler
	log     *slog.Logger
	in      net.Listener // open for the next Run; nil: Run opens one
}

func (a *agent) openStatus(address string, log *slog.Logger) (*statusServer, error) {
	s := &statusServer{address: address, handler: a.statusHandler(), log: log.With("part", "status")}
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

func (a *agent) statusHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.serveHealth)
	mux.HandleFunc("GET /metrics", a.serveMetrics)
	return loopbackOnly(mux)
}

// loopbackOnly refuses questions that a page of another site sends through a browser of this machine (DNS rebinding):
// they carry that site's name.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this door is for the machine itself", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Run serves until ctx ends.
func (s *statusServer) Run(ctx context.Context) error {
	if s.in == nil {
		if err := s.listen(); err != nil {
			return err
		}
	}
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(s.in) // closes it
	s.in = nil
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("status: %w", err)
}

func (a *agent) serveHealth(w http.ResponseWriter, _ *http.Request) {
	doc := a.status(time.Now())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !doc.Healthy {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(doc) // the client is gone, or it has it
}

func (a *agent) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var b strings.Builder
	writeMetrics(&b, a.status(time.Now()))
	_, _ = io.WriteString(w, b.String())
}
