package main

import (
	"math"
	"time"
)

// second is the line of one second.
type second struct {
	Time       float64  `json:"t_s"` // since the begin
	Pictures   int      `json:"pictures"`
	FPS        float64  `json:"fps"`
	BitrateBPS int      `json:"bitrate_bps"`
	Packets    int      `json:"packets"`
	Lost       int      `json:"lost"`
	Gaps       int      `json:"gaps"`
	Duplicates int      `json:"duplicates"`
	Reordered  int      `json:"reordered"`
	Damaged    int      `json:"damaged"` // pictures that miss something
	IDRs       int      `json:"idrs"`
	Jumps      int      `json:"timestamp_jumps"`
	Reports    int      `json:"sender_reports"`
	LatencyP50 *float64 `json:"latency_p50_ms,omitempty"`
	LatencyP99 *float64 `json:"latency_p99_ms,omitempty"`
	Jitter     *float64 `json:"latency_jitter_ms,omitempty"` // p99 - p50
}

// counters are the totals that a second's line is the difference of.
type counters struct {
	raw     sequence
	jumps   int
	reports int
	at      time.Time
}

// second closes the running second.
func (m *meter) second(last *counters, now time.Time) second {
	m.mu.Lock()
	defer m.mu.Unlock()
	length := now.Sub(last.at).Seconds()
	t, r := m.tick, m.raw
	s := second{
		Time: round(now.Sub(m.begin).Seconds(), 3), Pictures: t.pictures, FPS: round(float64(t.pictures)/length, 2),
		BitrateBPS: int(float64(t.octets) * 8 / length), Packets: r.packets - last.raw.packets, Lost: r.lost - last.raw.lost,
		Gaps: r.gaps - last.raw.gaps, Duplicates: r.duplicates - last.raw.duplicates,
		Reordered: r.reordered - last.raw.reordered, Damaged: t.damaged, IDRs: t.idrs,
		Jumps: m.steps.jumps() - last.jumps, Reports: len(m.sender.reports) - last.reports,
	}
	if shared, _ := sharedClock(m.differences, m.sameHost); shared && len(t.differences) > 0 {
		s.LatencyP50 = millis(quantile(t.differences, 0.5))
		s.LatencyP99 = millis(quantile(t.differences, 0.99))
	} else if len(t.differences) > 0 {
		s.Jitter = millis(quantile(t.differences, 0.99) - quantile(t.differences, 0.5))
	}
	*last = counters{raw: r, jumps: m.steps.jumps(), reports: len(m.sender.reports), at: now}
	m.tick = tally{differences: t.differences[:0]}
	return s
}

func (s *steps) jumps() int { return s.forward + s.backwards }

// summary is the whole measurement.
type summary struct {
	connection
	Duration     float64  `json:"duration_s"` // from the first packet on
	Connect      float64  `json:"connect_ms"`
	Play         float64  `json:"play_ms"`
	FirstPacket  *float64 `json:"first_packet_ms,omitempty"`
	FirstPicture *float64 `json:"first_picture_ms,omitempty"` // first whole IDR with parameter sets
	Replayed     int      `json:"replayed"`                   // pictures sent faster than live at the begin

	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	Profile    string  `json:"profile,omitempty"`
	InBand     bool    `json:"parameter_sets_in_band"`
	Pictures   int     `json:"pictures"`
	FPS        float64 `json:"fps"`
	BitrateBPS int     `json:"bitrate_bps"`

	Packets    int `json:"packets"`
	Lost       int `json:"lost"`
	Gaps       int `json:"gaps"`
	Duplicates int `json:"duplicates"`
	Reordered  int `json:"reordered"`
	Malformed  int `json:"malformed"`
	Restarts   int `json:"restarts"`
	Damaged    int `json:"damaged"`

	NominalFPS    float64 `json:"nominal_fps"`
	ForwardJumps  int     `json:"timestamp_jumps_forward"`
	BackwardJumps int     `json:"timestamp_jumps_backward"`
	LongestStepMS float64 `json:"longest_step_ms"`

	IDRs       int      `json:"idrs"`
	IDRBytes   int      `json:"idr_bytes_median"`
	IDRMax     int      `json:"idr_bytes_max"`
	GOP        int      `json:"gop_median"`
	GOPMin     int      `json:"gop_min"`
	GOPMax     int      `json:"gop_max"`
	Stamps     int      `json:"capture_stamps"`
	LatencyP50 *float64 `json:"latency_p50_ms,omitempty"`
	LatencyP99 *float64 `json:"latency_p99_ms,omitempty"`
	Jitter     *float64 `json:"latency_jitter_ms,omitempty"`
	NoLatency  string   `json:"no_latency_because,omitempty"`

	Reports     int      `json:"sender_reports"`
	FirstReport *float64 `json:"first_sender_report_ms,omitempty"` // after the first packet
	DriftPPM    *float64 `json:"sender_drift_ppm,omitempty"`       // NTP clock of the reports against the media clock
	AheadMS     *float64 `json:"sender_clock_ahead_ms,omitempty"`  // NTP clock of the reports against ours
	StampMS     *float64 `json:"sender_stamp_offset_ms,omitempty"` // NTP time of a picture against its capture stamp
}

// summary closes the measurement.
func (m *meter) summary(c connection, now time.Time) summary {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.depack.Stats()
	s := summary{
		connection: c, Connect: *millis(c.Connect), Play: *millis(c.Play),
		FirstPacket: m.since(m.firstPacket), FirstPicture: m.since(m.firstPicture), Replayed: m.burst.replays,
		Width: m.sps.Width, Height: m.sps.Height, InBand: m.inBand, Pictures: m.total.pictures,
		Packets: m.raw.packets, Lost: m.raw.lost, Gaps: m.raw.gaps, Duplicates: m.raw.duplicates,
		Reordered: m.raw.reordered, Malformed: int(d.Malformed), Restarts: int(d.Restarts), Damaged: m.total.damaged,
		ForwardJumps: m.steps.forward, BackwardJumps: m.steps.backwards,
		IDRs: m.total.idrs, IDRBytes: quantile(m.gop.sizes, 0.5), IDRMax: quantile(m.gop.sizes, 1),
		GOP: quantile(m.gop.lengths, 0.5), GOPMin: quantile(m.gop.lengths, 0), GOPMax: quantile(m.gop.lengths, 1),
		Stamps: len(m.differences),
	}
	if m.sps.Width > 0 {
		s.Profile = m.sps.ProfileName()
	}
	m.rates(&s, now)
	m.clocks(&s)
	return s
}

// rates fills in what is counted over time.
func (m *meter) rates(s *summary, now time.Time) {
	if step := m.steps.nominal(); step > 0 {
		s.NominalFPS = round(mediaClock/float64(step), 3)
	}
	s.LongestStepMS = round(float64(quantile(m.steps.all, 1))/mediaClock*1000, 1)
	if m.firstPacket.IsZero() {
		return
	}
	length := now.Sub(m.firstPacket).Seconds()
	s.Duration = round(length, 3)
	if length > 0 {
		s.FPS = round(float64(m.total.pictures)/length, 2)
		s.BitrateBPS = int(float64(m.total.octets) * 8 / length)
	}
}

// clocks fills in what needs a comparison of clocks.
func (m *meter) clocks(s *summary) {
	shared, why := sharedClock(m.differences, m.sameHost)
	p50, p99 := quantile(m.differences, 0.5), quantile(m.differences, 0.99)
	s.NoLatency = why
	if shared {
		s.LatencyP50, s.LatencyP99 = millis(p50), millis(p99)
	}
	if len(m.differences) > 0 {
		s.Jitter = millis(p99 - p50)
	}
	s.Reports = len(m.sender.reports)
	if s.Reports == 0 {
		return
	}
	s.FirstReport = millis(m.sender.reports[0].arrived.Sub(m.firstPacket))
	if ppm, ok := m.sender.drift(); ok {
		ppm = round(ppm, 1)
		s.DriftPPM = &ppm
	}
	s.AheadMS = millis(m.sender.ahead())
	if len(m.sender.offsets) > 0 {
		s.StampMS = millis(quantile(m.sender.offsets, 0.5))
	}
}

func (m *meter) since(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	return millis(t.Sub(m.begin))
}

func millis(d time.Duration) *float64 {
	ms := round(float64(d)/float64(time.Millisecond), 2)
	return &ms
}

func round(f float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(f*scale) / scale
}
