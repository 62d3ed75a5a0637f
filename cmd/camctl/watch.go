package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

type watchCommand struct {
	URL       string        `arg:"" help:"rtsp://NAME:PASSWORD@HOST:PORT/main, or rtsps://..."`
	Transport string        `enum:"tcp,udp,multicast,auto" default:"auto" help:"How RTP travels: ${enum}. auto tries UDP, then TCP."`
	Duration  time.Duration `default:"10s" help:"How long to watch; 0 watches until interrupted."`
	JSON      bool          `name:"json" help:"The summary too as a JSON line: {\"summary\":{...}}."`
	Insecure  bool          `xor:"trust" help:"RTSPS: take any certificate."`
	Pin       string        `xor:"trust" placeholder:"SHA256" help:"RTSPS: take only the certificate with this SHA-256 fingerprint."`
}

// Run watches a stream.
func (c *watchCommand) Run(ctx context.Context, s streams) error {
	u, err := parseURL(c.URL)
	if err != nil {
		return err
	}
	trust, err := tlsConfig(u.Hostname(), c.Insecure, c.Pin)
	if err != nil {
		return err
	}
	begin := time.Now()
	src := &source{url: u, transport: c.Transport, tls: trust}
	if err := src.open(ctx, begin); err != nil {
		return explain(err, u)
	}
	ended := c.follow(ctx, src, s.out)
	now := time.Now()
	src.close()
	sum := src.meter.summary(src.facts, now)
	if err := c.print(s.out, sum); err != nil {
		return err
	}
	return verdict(sum, src, ended)
}

// parseURL parses the address; its errors never quote it, since it holds a password.
func parseURL(address string) (*base.URL, error) {
	u, err := base.ParseURL(address)
	if err != nil || u.Host == "" {
		return nil, &fault{exitUsage, errors.New("the URL is not of the form rtsp://NAME:PASSWORD@HOST:PORT/STREAM")}
	}
	return u, nil
}

// follow prints a line a second until time is up; it returns why the stream ended before.
func (c *watchCommand) follow(ctx context.Context, src *source, out io.Writer) error {
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}
	ended := make(chan error, 1) // one send by Wait, never blocks
	go func() { ended <- src.client.Wait() }()
	lines := json.NewEncoder(out)
	last := counters{at: time.Now()}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case now := <-second.C:
			if err := lines.Encode(src.meter.second(&last, now)); err != nil {
				return err
			}
		case err := <-ended:
			return err
		case <-ctx.Done():
			src.client.Close()
			<-ended
			return nil
		}
	}
}

// verdict turns the summary into the exit code.
func verdict(s summary, src *source, ended error) error {
	switch {
	case s.Packets == 0 && src.transport == "auto" && src.switched.Load():
		return noPackets("tcp")
	case s.Packets == 0:
		return noPackets(s.Transport)
	case ended != nil:
		return &fault{exitEnded, fmt.Errorf("the stream ended before its time: %s", redact(ended, src.url))}
	case s.FirstPicture == nil:
		return &fault{exitNoPicture, errors.New("packets came, but no whole IDR picture with parameter sets")}
	}
	return nil
}

func (c *watchCommand) print(out io.Writer, s summary) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(map[string]summary{"summary": s})
	}
	_, err := io.WriteString(out, s.words())
	return err
}

// words is the summary for people.
func (s summary) words() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s over %s, %dx%d %s, %.2f pictures/s (nominal %.2f), %.2f Mbit/s", or(s.Server, "camera"), s.Transport,
		s.Width, s.Height, or(s.Profile, "profile unknown"), s.FPS, s.NominalFPS, float64(s.BitrateBPS)/1e6)
	line("start     connected %.1f ms, playing %.1f ms, first packet %s, first decodable picture %s, replayed %d",
		s.Connect, s.Play, value(s.FirstPacket), value(s.FirstPicture), s.Replayed)
	line("packets   %d, lost %d in %d gaps, duplicates %d, reordered %d, malformed %d; pictures %d, damaged %d",
		s.Packets, s.Lost, s.Gaps, s.Duplicates, s.Reordered, s.Malformed, s.Pictures, s.Damaged)
	line("time      %d jumps forward, %d back, longest step %.1f ms", s.ForwardJumps, s.BackwardJumps, s.LongestStepMS)
	line("GOP       %d pictures (%d to %d), %d IDR of %d bytes (at most %d)", s.GOP, s.GOPMin, s.GOPMax, s.IDRs,
		s.IDRBytes, s.IDRMax)
	if s.LatencyP50 != nil {
		line("latency   capture to arrival p50 %.2f ms, p99 %.2f ms", *s.LatencyP50, *s.LatencyP99)
	} else {
		line("latency   not known: %s; jitter (p99 - p50) %s", s.NoLatency, value(s.Jitter))
	}
	line("RTCP      %d sender reports, first after %s; drift %s ppm against the media clock, clock ahead of ours by %s",
		s.Reports, value(s.FirstReport), number(s.DriftPPM), value(s.AheadMS))
	return b.String()
}

func value(ms *float64) string {
	if ms == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", *ms)
}

func number(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *f)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
