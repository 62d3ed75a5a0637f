package main

import (
	"sync"
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/codec/stamp"
	"github.com/ocellus/ocellus/stream/rtp"
)

// maxSamples bounds what is kept of one figure: a day and a half at 25 pictures a second would be more.
const maxSamples = 1 << 21

// meter measures one stream from its packets. Times come from the caller; nothing here reads a clock.
type meter struct {
	mu sync.Mutex // guards all fields below: packets and reports come from several goroutines

	begin    time.Time // when the caller began to connect
	sameHost bool
	raw      sequence
	depack   rtp.Depacketizer
	media    unwrapper
	sender   senderClock
	params   h264.Params // from SDP at first, then those of the stream
	sps      h264.SPS
	inBand   bool

	firstPacket, firstPicture, lastPicture time.Time
	total, tick                            tally
	burst                                  burst
	gop                                    gop
	steps                                  steps
	differences                            []time.Duration // arrival minus capture stamp, burst left out
}

// tally is what is counted, in all and in the running second.
type tally struct {
	pictures, damaged, idrs int
	octets                  int
	differences             []time.Duration
}

// gop follows the IDR pictures.
type gop struct {
	since   int // pictures since the last IDR; -1 before the first
	lengths []int
	sizes   []int
}

// newMeter begins a measurement. The parameter sets are those of the SDP and may be empty.
func newMeter(begin time.Time, sameHost bool) *meter {
	return &meter{begin: begin, sameHost: sameHost, gop: gop{since: -1}}
}

// describe takes the parameter sets from the SDP.
func (m *meter) describe(p h264.Params) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.learn(p)
}

func (m *meter) learn(p h264.Params) {
	if len(p.SPS) > 0 {
		m.params.SPS = append([]byte(nil), p.SPS...)
		if sps, err := h264.ParseSPS(p.SPS); err == nil {
			m.sps = sps
		}
	}
	if len(p.PPS) > 0 {
		m.params.PPS = append([]byte(nil), p.PPS...)
	}
}

// arrived counts a packet as it came off the wire, in the order of arrival.
func (m *meter) arrived(number uint16, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.firstPacket.IsZero() {
		m.firstPacket = now
	}
	m.raw.add(number)
}

// packet takes a packet in sequence.
func (m *meter) packet(h rtp.Header, payload []byte, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total.octets += len(payload)
	m.tick.octets += len(payload)
	for _, unit := range m.depack.Push(h, payload) {
		m.unit(unit, now)
	}
}

// report takes a sender report.
func (m *meter) report(ntp time.Time, timestamp uint32, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.media.begun || len(m.sender.reports) >= maxSamples {
		return // no media time yet to compare with
	}
	at := m.media.total + int64(int32(timestamp-m.media.last))
	m.sender.reports = append(m.sender.reports, report{ntp, at, now})
}

func (m *meter) unit(u rtp.Unit, now time.Time) {
	ticks := m.media.ticks(u.Timestamp)
	if p := h264.FindParams(u.NALUs); len(p.SPS)+len(p.PPS) > 0 {
		m.inBand = m.inBand || p.Complete()
		m.learn(p)
	}
	for _, t := range []*tally{&m.total, &m.tick} {
		t.pictures++
		if !u.Complete {
			t.damaged++
		}
	}
	m.idr(u, now)
	m.steps.add(ticks)
	if m.burst.over(ticks, now) {
		m.stamp(u, ticks, now)
	}
	m.lastPicture = now
}

// idr follows the IDR pictures; the first whole one with parameter sets is the first decodable picture.
func (m *meter) idr(u rtp.Unit, now time.Time) {
	if m.gop.since >= 0 {
		m.gop.since++
	}
	if !h264.HasIDR(u.NALUs) {
		return
	}
	m.total.idrs++
	m.tick.idrs++
	if m.gop.since > 0 && len(m.gop.lengths) < maxSamples {
		m.gop.lengths = append(m.gop.lengths, m.gop.since)
	}
	m.gop.since = 0
	size := 0
	for _, nalu := range u.NALUs {
		size += len(nalu)
	}
	if len(m.gop.sizes) < maxSamples {
		m.gop.sizes = append(m.gop.sizes, size)
	}
	if m.firstPicture.IsZero() && u.Complete && m.params.Complete() {
		m.firstPicture = now
	}
}

func (m *meter) stamp(u rtp.Unit, ticks int64, now time.Time) {
	s, ok := stamp.Find(u.NALUs)
	if !ok {
		return
	}
	m.sender.compare(ticks, s.Captured)
	if len(m.differences) < maxSamples {
		m.differences = append(m.differences, now.Sub(s.Captured))
	}
	m.tick.differences = append(m.tick.differences, now.Sub(s.Captured))
}

// burst recognises the pictures that a server replays at the begin of a stream so that decoding can start at once:
// they are older than live ones and say nothing about latency.
type burst struct {
	done    bool
	begun   bool
	last    time.Time
	ticks   int64
	replays int // pictures that came faster than they were captured
}

// over reports whether the stream is live by now: a picture came at less than twice the speed of its capture.
func (b *burst) over(ticks int64, now time.Time) bool {
	if b.done {
		return true
	}
	if b.begun {
		b.done = now.Sub(b.last) > ticksToDuration(ticks-b.ticks)/2
		b.replays++
		if b.done {
			b.replays--
		}
	}
	b.begun, b.last, b.ticks = true, now, ticks
	return b.done
}

// steps follows the timestamps from picture to picture.
type steps struct {
	begun              bool
	last               int64
	all                []int // in ticks, forward ones
	forward, backwards int   // jumps
}

// warmUp is how many steps are needed before their median is taken for the nominal step.
const warmUp = 5

func (s *steps) add(ticks int64) {
	step := int(ticks - s.last)
	begun := s.begun
	s.begun, s.last = true, ticks
	switch {
	case !begun:
		return
	case step <= 0:
		s.backwards++
		return
	}
	if nominal := s.nominal(); nominal > 0 && abs(step-nominal) > nominal/2 {
		s.forward++
	}
	if len(s.all) < maxSamples {
		s.all = append(s.all, step)
	}
}

// nominal is the median of the first steps; 0 until there are enough of them. What the SPS promises is not asked:
// many cameras promise 25 or 30 and deliver something else, steadily.
func (s *steps) nominal() int {
	if len(s.all) < warmUp {
		return 0
	}
	return quantile(s.all[:min(len(s.all), 101)], 0.5)
}

func abs(n int) int { return max(n, -n) }
