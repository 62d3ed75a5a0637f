package rtsp

import (
	"sync/atomic"
	"time"
)

// counters are the sums since the start.
type counters struct {
	connections, refused, malformed, denied atomic.Uint64
	expired, stalled, dropped, replays      atomic.Uint64
	udpFailures                             atomic.Uint64
}

// Stats are the figures of the server at one moment. Counters never go back while the process lives.
type Stats struct {
	Connections      int    `json:"connections"`       // open now
	ConnectionsTotal uint64 `json:"connections_total"` // that came
	Refused          uint64 `json:"refused"`           // connections above a limit
	Malformed        uint64 `json:"malformed"`         // requests that could not be read
	Denied           uint64 `json:"denied"`            // wrong credentials
	Expired          uint64 `json:"expired"`           // sessions without a sign of life
	Stalled          uint64 `json:"stalled"`           // connections cut off since they took nothing
	Dropped          uint64 `json:"dropped"`           // access units that slow readers did not get, summed
	Replays          uint64 `json:"replays"`           // GOPs replayed to readers that joined
	UDPFailures      uint64 `json:"udp_failures"`      // datagrams or runs of them that the kernel refused

	Streams []StreamStats `json:"streams"`
}

// StreamStats are the figures of the readers of one stream.
type StreamStats struct {
	Name     string         `json:"name"`
	Readers  map[string]int `json:"readers"` // that play, by transport: tcp, udp, multicast
	Sessions int            `json:"sessions"`
	Packets  uint64         `json:"packets"` // sent to readers, each counted for each; multicast once
	Octets   uint64         `json:"octets"`  // their payload
	// Of the last receiver reports: the worst.
	FractionLost float64       `json:"fraction_lost"` // 0 to 1
	Lost         int64         `json:"lost"`          // packets, summed over the readers that play
	Jitter       time.Duration `json:"jitter_ns"`
	RoundTrip    time.Duration `json:"round_trip_ns"`
}

// Stats returns the figures of this moment.
func (s *Server) Stats() Stats {
	c := &s.counts
	out := Stats{
		ConnectionsTotal: c.connections.Load(), Refused: c.refused.Load(), Malformed: c.malformed.Load(),
		Denied: c.denied.Load(), Expired: c.expired.Load(), Stalled: c.stalled.Load(), Dropped: c.dropped.Load(),
		Replays: c.replays.Load(), UDPFailures: c.udpFailures.Load(),
	}
	s.mu.Lock()
	out.Connections = len(s.conns)
	sessions := make([]*session, 0, len(s.sessions))
	for _, x := range s.sessions {
		sessions = append(sessions, x)
	}
	s.mu.Unlock()
	out.Streams = make([]StreamStats, len(s.streams))
	for _, f := range s.streams {
		st := &out.Streams[f.index]
		st.Name, st.Packets, st.Octets = f.name, f.packets.Load(), f.octets.Load()
		st.Readers = map[string]int{string(tcpTransport): 0, string(udpTransport): 0, string(multicastTransport): 0}
	}
	for _, x := range sessions {
		out.Streams[x.fanout.index].add(x)
	}
	return out
}

func (st *StreamStats) add(x *session) {
	st.Sessions++
	if !x.playing.Load() {
		return
	}
	t, _ := x.interleaving()
	st.Readers[string(t)]++
	r := x.report.Load()
	if r == nil {
		return
	}
	st.FractionLost = max(st.FractionLost, float64(r.fractionLost)/256)
	st.Lost += int64(max(r.lost, 0))
	st.Jitter = max(st.Jitter, r.jitter)
	st.RoundTrip = max(st.RoundTrip, r.roundTrip)
}
