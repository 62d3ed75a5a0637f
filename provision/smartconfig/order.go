package smartconfig

import "time"

// packet is a frame of a stream as the decoders see it.
type packet struct {
	at     time.Duration
	seq    uint32 // sequence number without its wrap at 4096: the next frame of the transmitter has one more
	length int32  // of the frame body
}

const (
	sequences = 4096 // of IEEE 802.11
	holdMost  = 3    // packets that wait for one that is late
	holdFor   = 60 * time.Millisecond
	lateMost  = 64 // a sequence number as far back is a late frame or a copy; farther back it has wrapped
)

// order lets the packets of a stream through in the order of their sequence numbers, each once. It waits for a late one
// no longer than holdMost packets or holdFor.
type order struct {
	held  [holdMost + 1]packet // sorted by seq, none twice
	count int
	next  uint32 // seq of the packet that would follow the last one let through; 0: none came yet
	last  time.Duration
}

// push takes a frame and calls emit for each packet whose turn has come.
func (o *order) push(at time.Duration, sequence uint16, length int, emit func(packet)) {
	if o.next == 0 {
		o.next = sequences + uint32(sequence)
	}
	if at-o.last > silence && o.last != 0 {
		o.flush(emit)
		o.next += sequences // nobody can tell how many frames there were: none is beside another
	}
	o.last = at
	ahead := (uint32(sequence) - o.next) % sequences
	if ahead >= sequences-lateMost {
		return // came before, or too late
	}
	if !o.insert(packet{at, o.next + ahead, int32(length)}) {
		return
	}
	for o.count > 0 && (o.held[0].seq == o.next || o.count > holdMost || at-o.held[0].at > holdFor) {
		o.release(emit)
	}
}

// insert sorts p in; false if it is there.
func (o *order) insert(p packet) bool {
	i := o.count
	for ; i > 0 && o.held[i-1].seq >= p.seq; i-- {
		if o.held[i-1].seq == p.seq {
			return false
		}
	}
	copy(o.held[i+1:], o.held[i:o.count])
	o.held[i] = p
	o.count++
	return true
}

func (o *order) release(emit func(packet)) {
	p := o.held[0]
	copy(o.held[:], o.held[1:o.count])
	o.count--
	o.next = p.seq + 1
	emit(p)
}

func (o *order) flush(emit func(packet)) {
	for o.count > 0 {
		o.release(emit)
	}
}

// stride tells frames that were lost from such as are another's. An access point with two networks sends each broadcast
// in both, so that every second sequence number is the twin's; a gap of two is no gap then.
type stride struct{ ones, twos, all int }

const (
	strideKnown = 12 // gaps, before anything is said
	strideMost  = 48 // then all are halved
)

// apart returns how many packets of a stream lie in a gap of sequence numbers.
func (s *stride) apart(gap uint32) uint32 {
	switch gap {
	case 1:
		s.ones++
	case 2:
		s.twos++
	}
	if s.all++; s.all > strideMost {
		s.ones, s.twos, s.all = s.ones/2, s.twos/2, s.all/2
	}
	if s.all < strideKnown || 8*s.ones > s.all || 4*s.twos < s.all {
		return gap
	}
	return (gap + 1) / 2
}
