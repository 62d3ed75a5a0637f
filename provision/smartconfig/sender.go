package smartconfig

import (
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
)

// dialect is one protocol as one sender speaks it: the table to which all streams of the sender add.
type dialect interface {
	// vote looks at the newest packets of a stream, the last of which has just come, for what only this protocol
	// looks like, and votes for the offset that it would then have.
	vote(recent []packet, v *votes)
	// reader returns a reader of a stream that has an offset.
	reader() reader
	// result returns the credentials as soon as they are complete and every check passes.
	result() (Credentials, bool)
	// reset forgets everything that was read.
	reset()
}

// reader reads the values of one stream, in the order of their sequence numbers.
type reader interface {
	// take takes a datagram's length and reports whether something new was learned.
	take(value int, p packet) bool
}

// sender is what is known of one station.
type sender struct {
	station   station
	last      time.Duration
	stage     Stage
	gains     int
	dialects  []dialect
	streams   [2][lengthCoded]*stream
	byAddress bool        // Tuya EZ is on
	groups    *tuyaGroups // its table of multicast addresses; nil until there was one
	told      bool
}

// stream is one direction of a sender to one kind of destination.
type stream struct {
	order  order
	stride stride
	came   uint32 // seq of the last packet, and as it is read: without the gaps of a stride
	seq    uint32
	recent []packet
	votes  []votes  // one a dialect
	reader []reader // one a dialect; nil until it has an offset
}

func newSender(key station, at time.Duration, o Options) *sender {
	s := &sender{station: key, last: at}
	if o.Key != "" || o.Also&ESPTouch2Plain != 0 {
		s.dialects = append(s.dialects, newTouch2(o, key.bssid))
	}
	if o.Also&ESPTouch1 != 0 {
		s.dialects = append(s.dialects, newTouch1(o))
	}
	if o.Also&AirKiss != 0 {
		s.dialects = append(s.dialects, newAirKiss())
	}
	if o.Also&TuyaEZ != 0 {
		s.dialects = append(s.dialects, newTuya())
		s.byAddress = true
	}
	return s
}

// kept reports whether s looks like a sender of ours that still sends.
func (s *sender) kept(at time.Duration) bool { return s.stage >= Locked && at-s.last <= keepLocked }

// add takes a frame of the sender and reports whether something new was learned.
func (s *sender) add(at time.Duration, f *dot11.Frame, c class) bool {
	gain := false
	if s.byAddress && (c == anyGroup || c == touchGroup) {
		if s.groups == nil {
			s.groups = &tuyaGroups{}
		}
		gain = s.groups.take(f.DA)
	}
	if c < lengthCoded {
		gain = s.addLength(at, f, c) || gain
	}
	if gain {
		s.gains++
		s.stage = max(s.stage, Suspected)
	}
	if s.gains >= lockGains {
		s.stage = max(s.stage, Locked)
	}
	return gain
}

// addLength takes a frame whose length may tell something.
func (s *sender) addLength(at time.Duration, f *dot11.Frame, c class) bool {
	gain := false
	way := 0
	if f.Direction == dot11.FromDS {
		way = 1
	}
	if s.streams[way][c] == nil {
		n := len(s.dialects)
		s.streams[way][c] = &stream{votes: make([]votes, n), reader: make([]reader, n)}
	}
	t := s.streams[way][c]
	t.order.push(at, f.Sequence, f.Length, func(p packet) { gain = s.read(t, p) || gain })
	return gain
}

// read gives a packet, whose turn it is, to every dialect.
func (s *sender) read(t *stream, p packet) bool {
	t.seq += t.stride.apart(p.seq - t.came)
	t.came, p.seq = p.seq, t.seq
	if len(t.recent) == maxRecent {
		t.recent = t.recent[:copy(t.recent, t.recent[maxRecent/4:])]
	}
	t.recent = append(t.recent, p)
	if s.stage == Foreign && rapid(t.recent) {
		s.stage = Suspected
	}
	gain := false
	for i, d := range s.dialects {
		d.vote(t.recent, &t.votes[i])
		switch {
		case t.votes[i].decide():
			gain = s.calibrate(i, t) || gain
		case t.reader[i] != nil:
			gain = t.reader[i].take(int(p.length)-t.votes[i].offset, p) || gain
		}
	}
	return gain
}

// calibrate reads a stream from the start, now that dialect i has an offset for it. If it had another one before, what
// was read with that is void, and the other streams are read again too.
func (s *sender) calibrate(i int, t *stream) bool {
	s.stage = max(s.stage, Suspected)
	if t.reader[i] == nil {
		return s.replay(i, t)
	}
	s.dialects[i].reset()
	gain := false
	for _, way := range s.streams {
		for _, other := range way {
			if other != nil && other.reader[i] != nil {
				gain = s.replay(i, other) || gain
			}
		}
	}
	return gain
}

func (s *sender) replay(i int, t *stream) bool {
	t.reader[i] = s.dialects[i].reader()
	gain := false
	for _, p := range t.recent {
		gain = t.reader[i].take(int(p.length)-t.votes[i].offset, p) || gain
	}
	return gain
}

// finish returns the credentials if they have become complete, once.
func (s *sender) finish() *Credentials {
	if s.told {
		return nil
	}
	for _, d := range s.dialects {
		if c, ok := d.result(); ok {
			return s.tell(c)
		}
	}
	if s.groups != nil {
		if c, ok := s.groups.result(); ok {
			return s.tell(c)
		}
	}
	return nil
}

func (s *sender) tell(c Credentials) *Credentials {
	if c.check() != nil {
		return nil
	}
	s.told, s.stage = true, Complete
	c.Heard = s.station.bssid
	return &c
}

// reset forgets what the sender said before it fell silent: whoever begins again may say something else.
func (s *sender) reset() {
	s.told, s.stage, s.gains = false, Foreign, 0
	for _, d := range s.dialects {
		d.reset()
	}
	if s.groups != nil {
		*s.groups = tuyaGroups{}
	}
	for _, way := range s.streams {
		for _, t := range way {
			if t == nil {
				continue
			}
			t.recent = t.recent[:0]
			for i := range t.reader {
				t.reader[i] = nil
				t.votes[i] = votes{}
			}
		}
	}
}
