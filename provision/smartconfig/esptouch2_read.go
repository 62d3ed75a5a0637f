package smartconfig

import (
	"bytes"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
	"github.com/ocellus/ocellus/internal/secret"
)

const (
	touch2Markers = 3                            // times that a data group says its number
	touch2Period  = touch2Markers + touch2Slices // packets of a data group
	touch2Ahead   = 3                            // groups over which sequence numbers alone lead
	touch2Slip    = 4                            // foreign frames within a group; more can be packets that got no number
	touch2Doubt   = 3                            // slices of a group that may have two readings
	touch2Bare    = 1                            // text groups of a message whose CRC finds a slice and checks nothing
	// touch2Pause is a time in which nothing was heard: the sender may have stopped and begun with another message, which
	// the official ones do after 300 ms at least.
	touch2Pause = 250 * time.Millisecond
)

// touch2 is the table of one sender: the slices of each group of the round.
type touch2 struct {
	options Options
	bssid   dot11.Addr
	count   int // groups of a round, as the sender says; 0: not heard yet
	rival   int // another number that was heard last
	now     time.Duration
	paused  bool // there was a touch2Pause: a CRC has to check then, it can't find slices of text groups
	header  touch2Header
	known   bool          // header is
	groups  []touch2Slots // 0 is the header, 1 data group 0; nil until a stream has an offset
}

// touch2Slots are the eight slices of a group, and its bytes once its CRC is right.
type touch2Slots struct {
	slices [touch2Slices]ballot
	bytes  [touch2Size]byte
	dirty  bool // slices were read since
	solved bool
	filled bool // a slice was missing and follows from the CRC
}

func newTouch2(o Options, bssid dot11.Addr) *touch2 { return &touch2{options: o, bssid: bssid} }

func (t *touch2) reset() {
	clear(t.groups)
	*t = touch2{options: t.options, bssid: t.bssid, groups: t.groups}
}

func (t *touch2) reader() reader {
	if t.groups == nil {
		t.groups = make([]touch2Slots, touch2Most)
	}
	return &touch2Reader{table: t}
}

// vote looks for the sync packet beside the one with the number of groups, in either order. Nothing of this protocol is
// as long as they are.
func (t *touch2) vote(recent []packet, v *votes) {
	b := recent[len(recent)-1]
	for _, a := range recent[max(0, len(recent)-4) : len(recent)-1] {
		apart, longer := b.seq-a.seq, int(b.length-a.length)
		const least, most = touch2Count + 2 - touch2Sync, touch2Count + touch2Most - touch2Sync
		switch {
		case (apart == 1 || apart == 3) && longer >= least && longer <= most:
			v.add(int(a.length)-touch2Sync, votesNeeded)
		case apart == 1 && -longer >= least && -longer <= most:
			v.add(int(b.length)-touch2Sync, votesNeeded)
		}
	}
}

// touch2Reader reads one stream. A slice says its place in its group but not the group: that follows from the packets
// before and the sequence numbers between.
type touch2Reader struct {
	table *touch2
	known bool
	group int
	// Slice 0 of the group has a sequence number from low to high.
	low, high uint32
	slip      uint32 // foreign frames in it so far
}

func (r *touch2Reader) take(value int, p packet) bool {
	r.table.heard(p.at)
	switch {
	case value == touch2Sync:
		r.anchor(0, p.seq+2, p.seq+4)
	case value >= touch2Count+2 && value <= touch2Count+touch2Most:
		r.anchor(0, p.seq+1, p.seq+3)
		return r.table.heardCount(value - touch2Count)
	case value >= touch2Group && value < touch2Group+touch2Most:
		r.anchor(value-touch2Group+1, p.seq+1, p.seq+touch2Markers)
	case value >= 0 && value < touch2Slices<<7 && value&64 != 0:
		return r.slice(value>>7, byte(value&0x3f), p.seq)
	}
	return false
}

// anchor notes that a packet said its group, and where its slice 0 can be.
func (r *touch2Reader) anchor(group int, low, high uint32) {
	if r.known && group == r.group && low <= r.high && high >= r.low {
		r.low, r.high = max(low, r.low), min(high, r.high)
		return
	}
	if at, ok := r.expect(group); ok && at >= low && at <= high {
		low, high = at, at
	}
	r.known, r.group, r.low, r.high, r.slip = true, group, low, high, 0
}

// expect returns the sequence number of slice 0 of a group that comes soon after this one, if no frame is foreign.
func (r *touch2Reader) expect(group int) (uint32, bool) {
	ahead, more := group-r.group, uint32(0)
	if group == 0 {
		ahead, more = r.table.count-r.group, 1 // the header group has one packet more
	}
	ok := r.known && r.low == r.high && ahead >= 1 && ahead <= touch2Ahead
	return r.low + uint32(ahead*touch2Period) + more, ok
}

// slice votes for a slice of the group in which it must be; if that is not certain it is dropped.
func (r *touch2Reader) slice(i int, value byte, seq uint32) bool {
	zero := seq - uint32(i)
	switch {
	case !r.known || zero < r.low:
		r.known = false
		return false
	case zero <= r.high:
	case zero-r.high+r.slip <= touch2Slip:
		r.slip += zero - r.high
	case r.follow(zero):
	default:
		r.known = false
		return false
	}
	exact := zero == r.low && zero == r.high
	r.low, r.high = zero, zero
	return r.table.slice(r.group, i, value, exact)
}

// follow moves on to the later group whose slice 0 has just this sequence number, all its numbers having been missed.
func (r *touch2Reader) follow(zero uint32) bool {
	for ahead := 1; ahead <= touch2Ahead; ahead++ {
		group := r.group + ahead
		if r.table.count > 0 {
			group %= r.table.count
		}
		if at, ok := r.expect(group); ok && at == zero {
			r.group, r.slip = group, 0
			return true
		}
	}
	return false
}

func (t *touch2) heard(at time.Duration) {
	t.paused = t.paused || t.now > 0 && at-t.now > touch2Pause
	t.now = max(t.now, at)
}

// heardCount notes the number of groups and reports whether what was in doubt is so no more. Two other numbers in a row
// are another message.
func (t *touch2) heardCount(n int) bool {
	doubt := t.count == 0 || t.rival != 0
	switch n {
	case t.count:
		t.rival = 0
	case t.rival:
		t.reset()
		t.count = n
	default:
		if t.count == 0 {
			t.count = n
		} else {
			t.rival = n
		}
	}
	return doubt && t.rival == 0
}

// slice votes for a slice. exact: two packets at least agree on where it is, so that it is sure at once.
func (t *touch2) slice(group, i int, value byte, exact bool) bool {
	if group >= len(t.groups) {
		return false
	}
	g := &t.groups[group]
	b := &g.slices[i]
	if old, sure := b.sure(); exact && sure && old != value {
		count := t.count // the message is another one now, though it is as long
		t.reset()
		t.count = count
	}
	was := *b
	b.add(value)
	if exact {
		b.add(value)
	}
	news := was.first.votes == 0 || was.first.value != b.first.value || was.second.votes != b.second.votes
	g.dirty = g.dirty || news
	return news
}

// solve tries the readings of a group, the likeliest first, until its CRC is right.
func (g *touch2Slots) solve(raw bool) bool {
	if !g.dirty {
		return g.solved
	}
	g.dirty, g.solved, g.filled = false, false, false
	var doubtful, missing []int
	for i := range g.slices {
		switch b := &g.slices[i]; {
		case b.contested():
			return false
		case b.first.votes == 0:
			missing = append(missing, i)
		case b.second.votes > 0:
			doubtful = append(doubtful, i)
		}
	}
	if len(missing) == 1 {
		return g.fill(missing[0], raw)
	}
	if len(missing) > 0 || len(doubtful) > touch2Doubt {
		return false
	}
	for other := range 1 << len(doubtful) {
		var slices [touch2Slices]byte
		for i := range slices {
			slices[i] = g.slices[i].first.value
		}
		for k, i := range doubtful {
			if other>>k&1 != 0 {
				slices[i] = g.slices[i].second.value
			}
		}
		if g.bytes, g.solved = touch2Bytes(slices, raw); g.solved {
			return true
		}
	}
	return false
}

// fill finds the one missing slice of a group: the only one with which the CRC is right, if all others are sure. A raw
// group has two bits of its CRC left then as a check, a text group none.
func (g *touch2Slots) fill(missing int, raw bool) bool {
	var slices [touch2Slices]byte
	for i := range slices {
		ok := true
		if slices[i], ok = g.slices[i].sure(); !ok && i != missing {
			return false
		}
	}
	found := 0
	for slices[missing] = range byte(64) {
		if b, ok := touch2Bytes(slices, raw); ok {
			found++
			g.bytes = b
		}
	}
	g.solved, g.filled = found == 1, true
	return g.solved
}

// touch2Bytes puts the bytes of a group together and reports whether their CRC is right.
func touch2Bytes(slices [touch2Slices]byte, raw bool) ([touch2Size]byte, bool) {
	var b [touch2Size]byte
	last := touch2Slices
	if !raw {
		last--
	}
	for i, s := range slices[:last] {
		for k := range b {
			b[k] |= s >> (touch2Size - 1 - k) & 1 << i
		}
	}
	if raw {
		return b, crc8(b[:5]...) == b[5]
	}
	return b, crc8(b[:]...)&0x3f == slices[touch2Slices-1]
}

// result puts the message together: the header first, which says what the groups are.
func (t *touch2) result() (Credentials, bool) {
	if t.groups == nil || !t.findHeader() || t.header.groups() != t.count || t.rival != 0 {
		return Credentials{}, false
	}
	var contents [4][]byte
	group, bare := 0, 0
	for i, p := range t.header.parts() {
		for range p.groups() {
			g := &t.groups[group+1]
			if !g.solve(p.raw) {
				return Credentials{}, false
			}
			if g.filled && !p.raw {
				bare++
			}
			contents[i] = append(contents[i], g.bytes[:p.perGroup()]...)
			group++
		}
		contents[i] = contents[i][:p.size]
	}
	if bare > touch2Bare || bare > 0 && t.paused {
		return Credentials{}, false
	}
	return t.credentials(contents)
}

// findHeader solves the header group. What was read under another header belongs to another message.
func (t *touch2) findHeader() bool {
	g := &t.groups[0]
	if !g.solve(true) {
		return false
	}
	h, ok := parseTouch2Header(g.bytes)
	if !ok {
		return false
	}
	if t.known && h != t.header {
		slots := *g
		count := t.count
		t.reset()
		t.groups[0], t.count = slots, count
	}
	t.header, t.known = h, true
	return true
}

// credentials reads the parts. Where there is a key the padding and the marks of bytes above 127 must be right too.
func (t *touch2) credentials(contents [4][]byte) (Credentials, bool) {
	h := t.header
	c := Credentials{Protocol: ESPTouch2Plain, SSID: contents[3], Mark: h.portMark()}
	password, reserved := contents[0], contents[1]
	both := h.password + h.reserved
	if h.encryption() != touch2Plain {
		c.Protocol = ESPTouch2
		if t.options.Key == "" {
			return c, false
		}
		var iv [touch2IV]byte
		copy(iv[:], contents[2])
		plain, ok := touch2Decrypt(t.options.Key, iv[:16], password, both)
		if !ok {
			return c, false
		}
		password, reserved = plain, nil
	} else if t.options.Also&ESPTouch2Plain == 0 {
		return c, false
	}
	if reserved == nil {
		password, reserved = password[:h.password], password[h.password:both]
	}
	if hasHigh(password) != h.passwordHigh || hasHigh(reserved) != h.reservedHigh || hasHigh(c.SSID) != h.ssidHigh {
		return c, false
	}
	c.Password, c.Reserved = secret.Secret(password), secret.Secret(reserved)
	c.BSSID = t.hint(h.bssid, c.SSID)
	return c, true
}

// hint finds the access point of which the sender told only the CRC: that over which it was heard, or one of the scan
// with this name; zero if neither fits.
func (t *touch2) hint(crc byte, ssid []byte) dot11.Addr {
	if crc8(t.bssid[:]...) == crc {
		return t.bssid
	}
	for _, n := range t.options.Networks {
		if bytes.Equal(n.SSID, ssid) && crc8(n.BSSID[:]...) == crc {
			return n.BSSID
		}
	}
	return dot11.Addr{}
}
