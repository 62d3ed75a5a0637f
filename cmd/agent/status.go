package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"time"

	"github.com/ocellus/ocellus/internal/blackbox"
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
	Owned         bool           `json:"owned"`  // the camera has an owner
	Places        []string       `json:"places"` // HOST:PORT/STREAM of each stream, as clients reach it
	RTSP          rtsp.Stats     `json:"rtsp"`
	Parts         []partStatus   `json:"parts"`
	Start         blackbox.Start `json:"start"`   // this one, and why it began
	Crashes       int            `json:"crashes"` // that are remembered: see boots
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
		Owned:         a.owned(),
		Places:        a.places(),
		RTSP:          a.server.Stats(),
		Camera: cameraStatus{
			Name: src.Camera.Name, Driver: src.Camera.Driver, Path: src.Camera.Path, Why: src.Why,
			Starts: src.Starts, Failures: src.Failures, Faults: src.Faults,
		},
	}
	if a.box != nil {
		doc.Start, doc.Crashes = a.start, len(a.box.Crashes())
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

// pages are what the status port answers.
func (a *agent) pages() map[string]func() page {
	return map[string]func() page{"/healthz": a.healthPage, "/metrics": a.metricsPage}
}

// healthPage is the whole status, with 503 while the agent is not healthy.
func (a *agent) healthPage() page {
	doc := a.status(time.Now())
	p := page{code: 200, kind: "application/json"}
	if !doc.Healthy {
		p.code = 503
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		return textPage(500, err.Error())
	}
	p.body = b.Bytes()
	return p
}

func (a *agent) metricsPage() page {
	var b bytes.Buffer
	writeMetrics(&b, a.status(time.Now()))
	return page{200, "text/plain; version=0.0.4; charset=utf-8", b.Bytes()}
}
