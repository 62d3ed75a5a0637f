package stream

import (
	"time"

	"github.com/ocellus/ocellus/codec/h264"
	"github.com/ocellus/ocellus/hal"
)

// rateWindow is the time over which picture rate and bit rate are measured: two usual GOPs.
const rateWindow = 4 * time.Second

// HubStats are a stream's figures at one moment. Counters never go back while the process lives.
type HubStats struct {
	Name         string        `json:"name"`
	State        State         `json:"state"`
	Reason       string        `json:"reason,omitempty"` // why stalled or failed
	FPS          float64       `json:"fps"`              // access units a second, measured
	BitrateBPS   float64       `json:"bitrate_bps"`      // measured
	Frames       uint64        `json:"frames"`           // access units published
	Bytes        uint64        `json:"bytes"`            // of their NAL units
	IDRs         uint64        `json:"idrs"`
	IDRRequests  uint64        `json:"idr_requests"` // that reached the source
	Lost         uint64        `json:"lost"`         // pictures that camera or encoder dropped
	Dropped      uint64        `json:"dropped"`      // access units that full queues of subscriptions dropped, summed
	Subscribers  int           `json:"subscribers"`
	Demand       int           `json:"demand"`         // subscribers and those who wait for parameter sets
	EncoderTime  time.Duration `json:"encoder_ns"`     // spent for the last picture; 0 where the camera codes
	EncoderTotal time.Duration `json:"encoder_sum_ns"` // spent since the start
	LastFrameAge time.Duration `json:"last_frame_age_ns"`
	Info         Info          `json:"-"`
}

// counters are a stream's sums and the window over which its rates are measured.
type counters struct {
	frames, bytes, idrs, lost, dropped uint64
	encoderLast, encoderTotal          time.Duration

	recent [256]arrival // a ring: the newest is at next-1
	next   int
	filled int
}

type arrival struct {
	at   time.Time
	size int
}

func (c *counters) add(now time.Time, au *h264.AccessUnit, size int) {
	c.frames++
	c.bytes += uint64(size)
	c.lost += uint64(au.Lost)
	if au.IDR {
		c.idrs++
	}
	c.recent[c.next] = arrival{now, size}
	c.next = (c.next + 1) % len(c.recent)
	c.filled = min(c.filled+1, len(c.recent))
}

// rates measures pictures and bits a second over the access units of the window. The oldest one only marks its start.
func (c *counters) rates(now time.Time) (fps, bps float64) {
	var newest, oldest time.Time
	n, bytes, last := 0, 0, 0
	for i := range c.filled {
		a := c.recent[(c.next-1-i+2*len(c.recent))%len(c.recent)]
		if now.Sub(a.at) > rateWindow {
			break
		}
		if n == 0 {
			newest = a.at
		}
		n, bytes, last, oldest = n+1, bytes+a.size, a.size, a.at
	}
	// Where pictures stopped coming, the silence since counts too.
	span := newest.Sub(oldest)
	if n < 2 || span <= 0 {
		return 0, 0
	}
	if usual := span / time.Duration(n-1); now.Sub(newest) > 2*usual {
		span += now.Sub(newest) - usual
	}
	return float64(n-1) / span.Seconds(), float64(bytes-last) * 8 / span.Seconds()
}

// Stats returns the figures of this moment.
func (h *Hub) Stats() HubStats {
	now := time.Now()
	info := h.Describe()
	demand := h.demand.count()
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.counters
	s := HubStats{
		Name: h.name, Info: info, Demand: demand, Subscribers: len(h.subs),
		Frames: c.frames, Bytes: c.bytes, IDRs: c.idrs, Lost: c.lost, Dropped: c.dropped,
		IDRRequests: h.idr.requests, EncoderTime: c.encoderLast, EncoderTotal: c.encoderTotal,
		LastFrameAge: h.status.age(now),
	}
	s.FPS, s.BitrateBPS = c.rates(now)
	s.State, s.Reason = h.status.now(now, info.Rate)
	if h.stopped {
		s.State, s.Reason = Stopped, ""
	}
	return s
}

// SourceStats are the figures of a camera at one moment.
type SourceStats struct {
	Camera   hal.DeviceInfo
	Mode     hal.Mode          // as the driver chose it; zero while the camera is closed
	Why      string            // why that mode
	Starts   uint64            // times that the camera was opened
	Failures uint64            // times that it failed or could not be opened
	Faults   map[string]uint64 // what it delivered that was bad, by kind; those that are not zero
	Lookers  int
	Streams  []HubStats
}

// Stats returns the figures of this moment.
func (s *Source) Stats() SourceStats {
	st := SourceStats{Camera: s.camera.Info(), Faults: s.faults.snapshot(), Lookers: s.lookers.demand.count()}
	for _, o := range s.outputs {
		st.Streams = append(st.Streams, o.hub.Stats())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Starts, st.Failures = s.starts, s.fails
	if s.current != nil {
		st.Mode, st.Why = s.current.mode, s.current.plan.Why
	}
	return st
}
