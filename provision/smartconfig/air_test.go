package smartconfig

import (
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
)

// weather is what the air does to the two copies of a datagram: phone to access point (ToDS), access point to all
// (FromDS).
type weather struct {
	loss      float64 // of each copy, independent
	burst     *burst  // in place of loss
	oneCopy   bool    // FromDS alone
	upstream  float64 // lost before the access point numbers it: no gap in the sequence numbers tells of it
	foreign   float64 // other frames of the same transmitter between two of ours, in the mean
	twin      bool    // the access point has two networks: every second frame is the twin's
	duplicate float64
	late      float64       // delivered behind up to three of its successors
	beacons   time.Duration // FromDS frames wait for every so often, and come together
}

// burst is a Gilbert-Elliott channel: in its bad state most is lost.
type burst struct {
	enter, leave float64 // chance to change at each frame
	lossGood     float64
	lossBad      float64
}

// radioLink is one way of one transmitter to us.
type radioLink struct {
	weather  weather
	rng      *rand.Rand
	bad      bool
	sequence uint16
	offset   int
}

func (l *radioLink) lost() bool {
	b := l.weather.burst
	if b == nil {
		return l.rng.Float64() < l.weather.loss
	}
	change := b.enter
	if l.bad {
		change = b.leave
	}
	if l.rng.Float64() < change {
		l.bad = !l.bad
	}
	if l.bad {
		return l.rng.Float64() < b.lossBad
	}
	return l.rng.Float64() < b.lossGood
}

// number returns the next sequence number: foreign frames take some too.
func (l *radioLink) number() uint16 {
	for l.rng.Float64() < l.weather.foreign/(1+l.weather.foreign) {
		l.sequence++
	}
	if l.sequence++; l.weather.twin {
		l.sequence++
	}
	return l.sequence % sequences
}

// heard is a frame that arrives.
type heard struct {
	at    time.Duration
	frame dot11.Frame
}

// station pair of the tests.
var testAP, testPhone = dot11.Addr{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, dot11.Addr{2, 0, 0, 0, 0, 0x10}

// destination is the MAC address of an IPv4 group or broadcast address.
func destination(ip netip.Addr) dot11.Addr {
	if !ip.IsMulticast() {
		return dot11.Broadcast()
	}
	b := ip.As4()
	return dot11.Addr{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// listen plays what a sender sends from a moment on, as it arrives here, in the order of arrival. Time begins there.
func (w weather) listen(rng *rand.Rand, sent iter.Seq[Datagram], from time.Duration, phone dot11.Addr) iter.Seq[heard] {
	up := &radioLink{weather: w, rng: rng, sequence: uint16(rng.UintN(sequences)), offset: 52}
	down := &radioLink{weather: w, rng: rng, sequence: uint16(rng.UintN(sequences)), offset: 52 + 4*int(rng.UintN(2))}
	return func(yield func(heard) bool) {
		var pending []heard
		put := func(h heard) {
			i := len(pending)
			for i > 0 && pending[i-1].at > h.at {
				i--
			}
			pending = slices.Insert(pending, i, h)
		}
		clock := -from
		for d := range sent {
			at := clock
			clock += d.Wait
			if at < 0 {
				continue
			}
			gap := d.Wait
			send := func(l *radioLink, direction dot11.Direction, when time.Duration) {
				f := dot11.Frame{BSSID: testAP, SA: phone, DA: destination(d.To.Addr()), Direction: direction,
					Sequence: l.number(), Length: d.Length + l.offset, Protected: true}
				if l.lost() {
					return
				}
				if rng.Float64() < w.late {
					when += time.Duration(rng.Float64() * 3 * float64(gap))
				}
				put(heard{when, f})
				if rng.Float64() < w.duplicate {
					f.Retry = true
					put(heard{when + time.Millisecond, f})
				}
			}
			if rng.Float64() < w.upstream {
				continue
			}
			if !w.oneCopy {
				send(up, dot11.ToDS, at)
			}
			forwarded := at + 2*time.Millisecond
			if w.beacons > 0 {
				forwarded = (forwarded/w.beacons + 1) * w.beacons
			}
			send(down, dot11.FromDS, forwarded)
			for len(pending) > 0 && pending[0].at <= at-time.Second/2 {
				if !yield(pending[0]) {
					return
				}
				pending = pending[1:]
			}
		}
		for _, h := range pending {
			if !yield(h) {
				return
			}
		}
	}
}

// together merges what arrives from several transmitters by time.
func together(sources ...iter.Seq[heard]) iter.Seq[heard] {
	return func(yield func(heard) bool) {
		type head struct {
			next func() (heard, bool)
			h    heard
		}
		var heads []head
		for _, s := range sources {
			next, stop := iter.Pull(s)
			defer stop()
			if h, ok := next(); ok {
				heads = append(heads, head{next, h})
			}
		}
		for len(heads) > 0 {
			first := 0
			for i := range heads {
				if heads[i].h.at < heads[first].h.at {
					first = i
				}
			}
			if !yield(heads[first].h) {
				return
			}
			var ok bool
			if heads[first].h, ok = heads[first].next(); !ok {
				heads = slices.Delete(heads, first, first+1)
			}
		}
	}
}

// traffic is a busy channel: stations that send group traffic of the usual and of any length, so many frames a second.
func traffic(rng *rand.Rand, stations int, perSecond float64, length func(*rand.Rand) int) iter.Seq[heard] {
	return func(yield func(heard) bool) {
		sequence := make([]uint16, stations)
		for at := time.Duration(0); ; {
			at += time.Duration(rng.ExpFloat64() / perSecond * float64(time.Second))
			n := rng.IntN(stations)
			sequence[n] += uint16(1 + rng.IntN(3))
			f := dot11.Frame{BSSID: testAP, SA: dot11.Addr{2, 1, 0, 0, byte(n >> 8), byte(n)}, DA: dot11.Broadcast(),
				Direction: dot11.ToDS + dot11.Direction(rng.IntN(2)), Sequence: sequence[n] % sequences, Length: length(rng)}
			switch rng.IntN(4) {
			case 0:
				f.DA = dot11.Addr{1, 0, 0x5e, 0, 0, 251}
			case 1:
				f.DA = dot11.Addr{1, 0, 0x5e, 0x7f, 0xff, 0xfa}
			}
			if !yield(heard{at, f}) {
				return
			}
		}
	}
}

// anyLength is uniform over what a frame can be.
func anyLength(rng *rand.Rand) int { return minOffset + rng.IntN(1500) }

// rehearse feeds a receiver until it has credentials of a station or the time is over.
func rehearse(t testing.TB, o Options, air iter.Seq[heard], limit time.Duration, from dot11.Addr) (*Credentials,
	time.Duration, int) {
	t.Helper()
	r, err := NewReceiver(o)
	if err != nil {
		t.Fatal(err)
	}
	frames := 0
	for h := range air {
		if h.at > limit {
			break
		}
		frames++
		s, _ := r.Add(h.at, &h.frame)
		if s.Credentials != nil && s.SA == from {
			return s.Credentials, h.at, frames
		}
	}
	return nil, limit, frames
}

// newRand returns the generator of one trial: each trial has its own seed.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x0ce11)) }

// randomBytes makes a generator an io.Reader.
type randomBytes struct{ *rand.Rand }

func (r randomBytes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return len(b), nil
}

// allOn hears everything.
func allOn() Options { return Options{Key: testKey, Also: Legacy()} }

// sends returns the datagrams of a message.
func sends(t testing.TB, m Message, p Protocol, rng *rand.Rand) iter.Seq[Datagram] {
	t.Helper()
	sent, err := m.Send(p, randomBytes{rng})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// told reports whether the credentials are those of the message.
func told(c *Credentials, m Message, p Protocol) bool {
	if c == nil || c.Protocol != p || string(c.SSID) != string(m.SSID) || c.Password != m.Password {
		return false
	}
	switch p {
	case ESPTouch1:
		return c.Phone == m.Phone && (c.BSSID == m.BSSID || c.BSSID == dot11.Addr{})
	case AirKiss:
		return c.Mark == m.Random
	}
	return c.Reserved == m.Reserved && (p == TuyaEZ || c.Mark == m.PortMark)
}
