package main

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/ocellus/ocellus/stream"
)

// metric is one family of the Prometheus text format 0.0.4, with its value for one T. Names are wire format: never
// renamed.
type metric[T any] struct {
	name, kind, help string
	value            func(T) float64
}

// processMetrics are the figures of the program and its doors.
func processMetrics() []metric[statusDocument] {
	return []metric[statusDocument]{
		{"ocellus_healthy", "gauge", "1 while /healthz says 200",
			func(d statusDocument) float64 { return number(d.Healthy) }},
		{"ocellus_uptime_seconds", "gauge", "time since the agent started",
			func(d statusDocument) float64 { return d.UptimeSeconds }},
		{"process_resident_memory_bytes", "gauge", "resident memory",
			func(d statusDocument) float64 { return float64(d.ResidentBytes) }},
		{"go_goroutines", "gauge", "goroutines", func(d statusDocument) float64 { return float64(d.Goroutines) }},
		{"ocellus_camera_starts_total", "counter", "times that the camera was opened",
			func(d statusDocument) float64 { return float64(d.Camera.Starts) }},
		{"ocellus_camera_failures_total", "counter", "times that the camera failed or could not be opened",
			func(d statusDocument) float64 { return float64(d.Camera.Failures) }},
		{"ocellus_rtsp_connections", "gauge", "open RTSP connections",
			func(d statusDocument) float64 { return float64(d.RTSP.Connections) }},
		{"ocellus_rtsp_connections_total", "counter", "RTSP connections that came",
			func(d statusDocument) float64 { return float64(d.RTSP.ConnectionsTotal) }},
		{"ocellus_rtsp_refused_total", "counter", "RTSP connections above a limit",
			func(d statusDocument) float64 { return float64(d.RTSP.Refused) }},
		{"ocellus_rtsp_malformed_total", "counter", "RTSP requests that could not be read",
			func(d statusDocument) float64 { return float64(d.RTSP.Malformed) }},
		{"ocellus_rtsp_denied_total", "counter", "wrong credentials",
			func(d statusDocument) float64 { return float64(d.RTSP.Denied) }},
		{"ocellus_rtsp_stalled_total", "counter", "RTSP connections cut off since they took nothing",
			func(d statusDocument) float64 { return float64(d.RTSP.Stalled) }},
		{"ocellus_rtsp_expired_total", "counter", "RTSP sessions that gave no sign of life",
			func(d statusDocument) float64 { return float64(d.RTSP.Expired) }},
		{"ocellus_rtsp_dropped_total", "counter", "access units that slow readers did not get, summed over the readers",
			func(d statusDocument) float64 { return float64(d.RTSP.Dropped) }},
		{"ocellus_rtsp_replays_total", "counter", "GOPs replayed to readers that joined",
			func(d statusDocument) float64 { return float64(d.RTSP.Replays) }},
	}
}

// streamMetrics are the figures of each stream.
func streamMetrics() []metric[streamStatus] {
	return []metric[streamStatus]{
		{"ocellus_stream_fps", "gauge", "access units a second, measured", func(s streamStatus) float64 { return s.FPS }},
		{"ocellus_stream_bitrate_bps", "gauge", "bits a second, measured",
			func(s streamStatus) float64 { return s.BitrateBPS }},
		{"ocellus_stream_frames_total", "counter", "access units", func(s streamStatus) float64 { return float64(s.Frames) }},
		{"ocellus_stream_bytes_total", "counter", "bytes of NAL units",
			func(s streamStatus) float64 { return float64(s.Bytes) }},
		{"ocellus_stream_idrs_total", "counter", "IDR access units", func(s streamStatus) float64 { return float64(s.IDRs) }},
		{"ocellus_stream_idr_requests_total", "counter", "IDRs that the source was asked for",
			func(s streamStatus) float64 { return float64(s.IDRRequests) }},
		{"ocellus_stream_lost_total", "counter", "pictures that camera or encoder dropped",
			func(s streamStatus) float64 { return float64(s.Lost) }},
		{"ocellus_stream_dropped_total", "counter", "access units that full queues dropped, summed over the queues",
			func(s streamStatus) float64 { return float64(s.Dropped) }},
		{"ocellus_stream_subscribers", "gauge", "queues that take the stream",
			func(s streamStatus) float64 { return float64(s.Subscribers) }},
		{"ocellus_stream_readers", "gauge", "sessions that play", func(s streamStatus) float64 { return float64(s.Readers) }},
		{"ocellus_stream_encoder_seconds", "gauge", "encoder time of the last picture",
			func(s streamStatus) float64 { return s.EncoderTime.Seconds() }},
		{"ocellus_stream_encoder_seconds_total", "counter", "encoder time",
			func(s streamStatus) float64 { return s.EncoderTotal.Seconds() }},
		{"ocellus_stream_last_frame_age_seconds", "gauge", "time since the last access unit",
			func(s streamStatus) float64 { return s.LastFrameAge.Seconds() }},
	}
}

// writeMetrics writes a status as Prometheus reads it.
func writeMetrics(b *bytes.Buffer, doc statusDocument) {
	family(b, "ocellus_build_info", "gauge", "1, with the release and the Go version")
	sample(b, "ocellus_build_info", 1, "release", doc.Release, "board", doc.Board, "goversion", runtime.Version(),
		"goarch", runtime.GOARCH)
	for _, m := range processMetrics() {
		family(b, m.name, m.kind, m.help)
		sample(b, m.name, m.value(doc))
	}
	for _, m := range streamMetrics() {
		family(b, m.name, m.kind, m.help)
		for _, s := range doc.Streams {
			sample(b, m.name, m.value(s), "stream", s.Name)
		}
	}
	family(b, "ocellus_stream_state", "gauge", "1 for the state that the stream is in")
	for _, s := range doc.Streams {
		for _, state := range []stream.State{stream.Idle, stream.Starting, stream.Live, stream.Stalled, stream.Failed,
			stream.Stopped} {
			sample(b, "ocellus_stream_state", number(s.State == state), "stream", s.Name, "state", string(state))
		}
	}
	family(b, "ocellus_rtsp_packets_total", "counter", "RTP packets sent, each counted for each reader")
	for _, s := range doc.RTSP.Streams {
		sample(b, "ocellus_rtsp_packets_total", float64(s.Packets), "stream", s.Name)
	}
	family(b, "ocellus_camera_faults_total", "counter", "bad deliveries of the camera, by kind")
	for _, kind := range slices.Sorted(maps.Keys(doc.Camera.Faults)) {
		sample(b, "ocellus_camera_faults_total", float64(doc.Camera.Faults[kind]), "kind", kind)
	}
	family(b, "ocellus_part_up", "gauge", "1 while the part runs")
	for _, p := range doc.Parts {
		sample(b, "ocellus_part_up", number(p.Up), "part", p.Name)
	}
	family(b, "ocellus_part_restarts_total", "counter", "restarts after a failure")
	for _, p := range doc.Parts {
		sample(b, "ocellus_part_restarts_total", float64(p.Restarts), "part", p.Name)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func family(b *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes one line; labels are names and values in turn.
func sample(b *bytes.Buffer, name string, value float64, labels ...string) {
	b.WriteString(name)
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for i := 0; i+1 < len(labels); i += 2 {
		open := ","
		if i == 0 {
			open = "{"
		}
		b.WriteString(open + labels[i] + `="` + escape.Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	b.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}
