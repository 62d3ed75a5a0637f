package smartconfig

import (
	"fmt"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
)

// Bounds on what the air can make a receiver hold.
const (
	maxSenders = 32 // who is silent for longest goes first; those that look like a sender of ours last
	maxLocked  = 24 // of them, those that are kept for that
	keepLocked = 5 * time.Second
	lockGains  = 4           // readings that made sense, before a suspect is locked
	maxRecent  = 512         // packets of a stream that are read again when its offset becomes known
	silence    = time.Second // after which a sender begins anew; none of the protocols pauses
	maxBody    = 1700
)

// Stage is how far a sender has come.
type Stage uint8

// Stages, each above the one before.
const (
	Foreign   Stage = iota // no sender of ours, as far as one can tell
	Suspected              // its lengths may be those of a protocol that is on: listen a little longer
	Locked                 // they are, and make sense: stay on this channel
	Complete               // it has told everything
)

// Sighting is what one frame told.
type Sighting struct {
	BSSID, SA dot11.Addr
	Stage     Stage
	Gain      bool // something new was learned from this sender
	// Credentials are set once, with the frame that completed them.
	Credentials *Credentials
}

// Receiver turns frames into credentials. It is for one goroutine.
type Receiver struct {
	options Options
	senders []*sender // few enough to be looked through
}

// station names a sender: the same phone over two access points is two.
type station struct{ bssid, sa dot11.Addr }

// NewReceiver returns a receiver. A key of another length than KeySize, and options that hear nothing, are errors.
func NewReceiver(o Options) (*Receiver, error) {
	if n := len(o.Key); n != 0 && n != KeySize {
		return nil, fmt.Errorf("smartconfig key: %d bytes, want %d", n, KeySize)
	}
	if o.Also&^Legacy() != 0 {
		return nil, fmt.Errorf("smartconfig options: %v is no legacy protocol", o.Also&^Legacy())
	}
	if o.Key == "" && o.Also == 0 {
		return nil, fmt.Errorf("smartconfig options: neither a key nor a legacy protocol: nothing to hear")
	}
	return &Receiver{options: o}, nil
}

// Add takes a frame that was captured at a monotonic time. The frames of one channel come in the order of capture.
// false: the frame can be none of a sender's.
func (r *Receiver) Add(at time.Duration, f *dot11.Frame) (Sighting, bool) {
	class := classOf(f)
	if class == ignored {
		return Sighting{}, false
	}
	if class == anyGroup && r.options.Also&TuyaEZ == 0 {
		return Sighting{}, false
	}
	s := r.sender(at, station{f.BSSID, f.SA})
	seen := Sighting{BSSID: f.BSSID, SA: f.SA}
	seen.Gain = s.add(at, f, class)
	if seen.Gain {
		seen.Credentials = s.finish()
	}
	seen.Stage = s.stage
	return seen, true
}

// sender returns the record of a station, a new one if need be.
func (r *Receiver) sender(at time.Duration, key station) *sender {
	for _, s := range r.senders {
		if s.station != key {
			continue
		}
		if at-s.last > silence {
			s.reset()
		}
		s.last = max(at, s.last)
		return s
	}
	s := newSender(key, at, r.options)
	if len(r.senders) < maxSenders {
		r.senders = append(r.senders, s)
	} else {
		r.senders[r.victim(at)] = s
	}
	return s
}

// victim returns which sender goes: the one silent for longest among those that don't look like one of ours; if there
// are none such, or too many of the others, among all.
func (r *Receiver) victim(at time.Duration) int {
	kept, oldest, foreign := 0, 0, -1
	for i, s := range r.senders {
		if s.last < r.senders[oldest].last {
			oldest = i
		}
		switch {
		case s.kept(at):
			kept++
		case foreign < 0 || s.last < r.senders[foreign].last:
			foreign = i
		}
	}
	if foreign < 0 || kept > maxLocked {
		return oldest
	}
	return foreign
}

// class is what kind of destination a frame has. The kinds of one sender may have different offsets, and keeping them
// apart keeps a phone's other multicast traffic out.
type class uint8

const (
	broadcast   class = iota
	touchGroup        // 234.n.n.n of ESP-Touch v1
	allNodes          // ff02::1 of its IPv6 senders
	lengthCoded       // the number of classes above
	anyGroup          // another IPv4 multicast address: it may be data itself
	ignored
)

// classOf says of which class a frame is; ignored if no sender can have sent it.
func classOf(f *dot11.Frame) class {
	if f.Direction != dot11.ToDS && f.Direction != dot11.FromDS {
		return ignored
	}
	if f.AMSDU || f.Fragment || f.Length < minOffset || f.Length > maxBody {
		return ignored
	}
	a := f.DA
	switch {
	case a == dot11.Broadcast():
		return broadcast
	case a == dot11.Addr{0x33, 0x33, 0, 0, 0, 1}:
		return allNodes
	case a[0] != 0x01 || a[1] != 0x00 || a[2] != 0x5e:
		return ignored
	case a[3] == a[4] && a[4] == a[5] && a[3] >= 1 && a[3] <= touchGroups:
		return touchGroup
	}
	return anyGroup
}
