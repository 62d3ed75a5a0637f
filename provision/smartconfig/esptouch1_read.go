package smartconfig

import (
	"bytes"
	"time"

	"github.com/ocellus/ocellus/codec/dot11"
)

const (
	touch1Fresh  = 20 * time.Second // a symbol that was not seen for as long is not there
	touch1Spare  = 3                // frames that may be missing or foreign within the three of a symbol
	touch1Doubt  = 1                // symbols of a message that only one packet vouches for, or none: the XOR finds one
	touch1Few    = 4                // whole symbols that a sender must have shown before it is believed
	touch1Counts = 256              // then both counts are halved
)

// touch1 is the table of one sender: each index with the byte that its packets gave.
type touch1 struct {
	networks []Network
	symbols  []symbol // by index; nil until a stream has an offset
	now      time.Duration
	since    time.Duration // the sender says something else since: what was not seen again since is not known
	// good and bad count three packets in a row that were a symbol and that were not. What is no ESP-Touch v1 has one
	// good one in 256.
	good, bad int
}

// symbol is what is known of the byte at one index.
type symbol struct {
	value byte
	by    halves // the packets that vouched for it
	rival byte   // another value that single packets gave since
	rivBy halves
	votes uint8
	seen  time.Duration // when it was vouched for last
}

// halves says which packets of a symbol vouched for a value. With both the CRC is right, at once or in different rounds
// and directions.
type halves uint8

const (
	firstHalf halves = 1 << iota
	secondHalf
	bothHalves = firstHalf | secondHalf
)

func newTouch1(o Options) *touch1 { return &touch1{networks: o.Networks} }

func (t *touch1) reset() {
	clear(t.symbols)
	*t = touch1{networks: t.networks, symbols: t.symbols}
}

func (t *touch1) reader() reader {
	if t.symbols == nil {
		t.symbols = make([]symbol, touch1Indexes)
	}
	return &touch1Reader{table: t}
}

// vote looks for the guide code, and for three packets that are a symbol at just one offset.
func (t *touch1) vote(recent []packet, v *votes) {
	if n := len(recent); n >= 4 {
		if guide := recent[n-4:]; steps(guide, -1, -1, -1) && near(guide, touch1Spare) {
			v.add(int(guide[0].length)-touch1Guide, 2)
		}
	}
	if len(recent) < 3 {
		return
	}
	p := recent[len(recent)-3:]
	if !near(p, touch1Spare) {
		return
	}
	a, b, c := int(p[0].length), int(p[1].length), int(p[2].length)
	low := max(minOffset, a-(touch1Index-1), b-(touch1Index+127), c-(touch1Index-1))
	high := min(maxOffset, a-touch1Data, b-touch1Index, c-touch1Data)
	for o := low; o <= high; o++ {
		if touch1Symbol(a-o, b-o, c-o) {
			v.add(o, 1)
		}
	}
}

// touch1Symbol reports whether three lengths of the right kinds are one symbol.
func touch1Symbol(first, index, second int) bool {
	a, b := byte(first-touch1Data), byte(second-touch1Data)
	return crc8(a<<4|b&0x0f, byte(index-touch1Index)) == a&0xf0|b>>4
}

// touch1Reader reads one stream: it needs the last two packets.
type touch1Reader struct {
	table *touch1
	last  [2]touch1Packet // the one before the last, the last
}

type touch1Packet struct {
	kind  touch1Kind
	value byte // of a data packet what it carries, of an index packet the index
	seq   uint32
}

func (r *touch1Reader) take(value int, p packet) bool {
	kind := touch1KindOf(value)
	if kind == touch1Other {
		return false // foreign; the sequence number tells that something was here
	}
	now := touch1Packet{kind: kind, seq: p.seq}
	switch kind {
	case touch1IsData:
		now.value = byte(value - touch1Data)
	case touch1IsIndex:
		now.value = byte(value - touch1Index)
	}
	before, last := r.last[0], r.last[1]
	r.last = [2]touch1Packet{last, now}
	r.table.now = max(r.table.now, p.at)
	beside := now.seq-last.seq == 1
	switch {
	case kind == touch1IsIndex && last.kind == touch1IsData && beside:
		return r.table.vouch(now.value, touch1First(last.value, now.value), firstHalf)
	case kind != touch1IsData || last.kind != touch1IsIndex:
		return false
	case before.kind == touch1IsData && now.seq-before.seq <= 2+touch1Spare:
		return r.takeThree(before, last, now)
	case beside:
		return r.table.vouch(last.value, touch1Second(now.value, last.value), secondHalf)
	}
	return false
}

// takeThree takes a data, an index and a data packet. Whichever of the data packets belongs to another symbol, the CRC
// is wrong then, so that frames may be missing between them.
func (r *touch1Reader) takeThree(first, index, second touch1Packet) bool {
	value := touch1First(first.value, index.value)
	right := value == touch1Second(second.value, index.value)
	row := second.seq-first.seq == 2
	if row {
		r.table.count(right)
	}
	switch {
	case right:
		return r.table.vouch(index.value, value, bothHalves)
	case !row && second.seq-index.seq == 1:
		return r.table.vouch(index.value, touch1Second(second.value, index.value), secondHalf)
	}
	return false
}

func (t *touch1) count(right bool) {
	if right {
		t.good++
	} else {
		t.bad++
	}
	if t.good+t.bad > touch1Counts {
		t.good, t.bad = t.good/2, t.bad/2
	}
}

// vouch adds a reading of one or both packets of a symbol and reports whether more is known than before.
func (t *touch1) vouch(index, value byte, by halves) bool {
	s := &t.symbols[index]
	_, known := t.known(int(index))
	was := known && t.proven(int(index))
	switch {
	case s.votes == 0 || t.now-s.seen > touch1Fresh:
		*s = symbol{value: value}
	case s.value == value:
		s.rivBy = 0
	case s.by == bothHalves && !s.contradict(value, by):
		return false
	default:
		if s.by == bothHalves {
			t.since = t.now
			by |= s.rivBy
		}
		*s = symbol{value: value}
	}
	s.by |= by
	s.votes = min(s.votes+1, maxVotes)
	s.seen = t.now
	return !known || !was && t.proven(int(index))
}

// contradict notes a reading that is not the proven value and reports whether it is proven itself: one packet is not
// enough for that, but enough for doubt.
func (s *symbol) contradict(value byte, by halves) bool {
	if s.rival != value {
		s.rival, s.rivBy = value, 0
	}
	s.rivBy |= by
	return s.rivBy == bothHalves
}

// known returns the byte at an index; false if nothing vouches for it lately, or something else does too.
func (t *touch1) known(i int) (byte, bool) {
	s := &t.symbols[i]
	return s.value, s.votes > 0 && t.now-s.seen <= touch1Fresh && s.seen >= t.since && s.rivBy == 0
}

// proven reports whether both packets of a symbol gave the same byte.
func (t *touch1) proven(i int) bool { return t.symbols[i].by == bothHalves }

// result puts the message together. All its bytes are proven, or a few are vouched for by one packet and all checks
// pass, or one is missing and follows from the XOR of the others.
func (t *touch1) result() (Credentials, bool) {
	if t.good < touch1Few || t.good <= 2*t.bad {
		return Credentials{}, false
	}
	for _, i := range []int{touch1Total, touch1Pwd, touch1SSID, touch1XOR} {
		if _, ok := t.known(i); !ok || !t.proven(i) {
			return Credentials{}, false
		}
	}
	total, password := int(t.symbols[touch1Total].value), int(t.symbols[touch1Pwd].value)
	if total > touch1Most || touch1Header+password >= total {
		return Credentials{}, false
	}
	if c, ok := t.whole(total); ok {
		return c, true
	}
	return t.withoutSSID(total, touch1Header+password)
}

// whole is the message of a sender that sends the SSID.
func (t *touch1) whole(total int) (Credentials, bool) {
	b, doubtful, missing := t.collect(total)
	bssid := t.bssidAt(total)
	if missing+doubtful > touch1Doubt {
		return Credentials{}, false
	}
	if missing == 1 {
		if bssid == nil || crc8(bssid[:]...) != b[touch1BSSID] {
			return Credentials{}, false // a check in place of the XOR
		}
		t.fill(b)
	}
	if xor(b) != 0 || crc8(b[touch1Header+int(b[touch1Pwd]):]...) != b[touch1SSID] {
		return Credentials{}, false
	}
	return touch1Credentials(b, bssid), true
}

// fill puts in the one byte that is missing.
func (t *touch1) fill(b []byte) {
	for i := range b {
		if _, ok := t.known(i); !ok {
			b[i] = xor(b)
		}
	}
}

// collect returns the first bytes, how many of them are not proven and how many are missing (zero here).
func (t *touch1) collect(total int) (b []byte, doubtful, missing int) {
	b = make([]byte, total)
	for i := range b {
		value, ok := t.known(i)
		switch {
		case !ok:
			missing++
		case !t.proven(i):
			doubtful++
		}
		if ok {
			b[i] = value
		}
	}
	return b, doubtful, missing
}

// withoutSSID is the message of a sender that counts the SSID but leaves it out and puts the BSSID in its place, as old
// iOS libraries do for a network that is not hidden. A scan must have found the network.
func (t *touch1) withoutSSID(total, end int) (Credentials, bool) {
	b, doubtful, missing := t.collect(end)
	bssid := t.bssidAt(end)
	if doubtful+missing > 0 || bssid == nil || crc8(bssid[:]...) != b[touch1BSSID] {
		return Credentials{}, false
	}
	for _, n := range t.networks {
		if len(n.SSID) != total-end || crc8(n.SSID...) != b[touch1SSID] || xor(b)^xor(n.SSID) != 0 {
			continue
		}
		return touch1Credentials(append(bytes.Clone(b), n.SSID...), bssid), true
	}
	return Credentials{}, false
}

// bssidAt returns the six bytes from an index on; nil if they are not all proven.
func (t *touch1) bssidAt(index int) *dot11.Addr {
	var a dot11.Addr
	for i := range a {
		value, ok := t.known(index + i)
		if !ok || !t.proven(index+i) {
			return nil
		}
		a[i] = value
	}
	return &a
}

// xor of all bytes; that of a whole message is zero, since index 4 is the XOR of the others.
func xor(b []byte) byte {
	var x byte
	for _, v := range b {
		x ^= v
	}
	return x
}
