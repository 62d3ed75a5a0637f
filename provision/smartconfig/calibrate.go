package smartconfig

import "time"

// The offset is the length of a frame body less that of the datagram in it. The smallest is LLC/SNAP 8 + IPv4 20 +
// UDP 8 in an open network; IPv6 adds 20, CCMP and GCMP 16, TKIP 20, the 256-bit ciphers 24. The window leaves
// room above.
const (
	minOffset = 36
	maxOffset = 96
	offsets   = maxOffset - minOffset + 1
)

// What is rapid.
const (
	rapidPackets = 5
	rapidTime    = 150 * time.Millisecond
	rapidLengths = 3
)

const (
	votesNeeded = 4
	votesMost   = 64 // then all are halved, so that an old opinion can be outvoted
)

// votes are the opinions of one protocol on the offset of one stream.
type votes struct {
	by     [offsets]uint16
	offset int // that of the last decision; 0: none yet
}

// add votes for an offset; one out of the window is no offset.
func (v *votes) add(offset, weight int) {
	if offset < minOffset || offset > maxOffset {
		return
	}
	n := &v.by[offset-minOffset]
	*n += uint16(weight)
	if *n < votesMost {
		return
	}
	for i := range v.by {
		v.by[i] /= 2
	}
}

// decide reports whether the votes now say another offset than before. The best must have twice the votes of the
// second.
func (v *votes) decide() bool {
	var best, second uint16
	at := 0
	for i, n := range v.by {
		switch {
		case n > best:
			best, second, at = n, best, i
		case n > second:
			second = n
		}
	}
	if best < votesNeeded || best < 2*second || v.offset == minOffset+at {
		return false
	}
	v.offset = minOffset + at
	return true
}

// rapid reports whether the last packets come as fast and are as different as those of a sender of ours: ordinary
// traffic to everybody is slower or all the same. It is no proof, but ESP-Touch v2 shows one only once a round.
func rapid(recent []packet) bool {
	if len(recent) < rapidPackets {
		return false
	}
	p := recent[len(recent)-rapidPackets:]
	lengths := map[int32]bool{}
	for i := range p {
		lengths[p[i].length] = true
	}
	return p[len(p)-1].at-p[0].at <= rapidTime && len(lengths) >= rapidLengths
}

// near reports whether the last packets come one after another with at most spare frames missing or foreign in all.
func near(p []packet, spare uint32) bool {
	return p[len(p)-1].seq-p[0].seq <= uint32(len(p)-1)+spare
}

// steps reports whether the lengths of the packets differ by these steps from one to the next.
func steps(p []packet, by ...int32) bool {
	for i, d := range by {
		if p[i+1].length-p[i].length != d {
			return false
		}
	}
	return true
}
