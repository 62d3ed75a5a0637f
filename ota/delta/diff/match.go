package diff

import (
	"encoding/binary"
	"math/bits"

	"github.com/ocellus/ocellus/ota/delta/wire"
)

const (
	seed    = 16 // bytes that have to be the same for a place to be looked at
	every   = 4  // bytes from one place of the source that is indexed to the next
	most    = 48 // places that are looked at for one seed
	surely  = 96 // bytes that are the same where the last copy goes on: nothing better is looked for
	worth   = 12 // bytes more that have to be the same elsewhere than where the last copy goes on
	worthIt = 24 // the same for a copy that begins anew
	maxBits = 22 // of the table of hashes
)

// matcher finds what of the target is in the source, by the way of bsdiff: copies go on through bytes that differ as
// long as more than half of them don't. Both sides are looked at with addresses blanked.
type matcher struct {
	x, y  []byte
	bits  int     // of a hash
	heads []int32 // by hash: the last indexed place, plus one
	links []int32 // by place/every: the one before
}

// newMatcher indexes some ranges of the source.
func newMatcher(x, y []byte, ranges [][2]int) *matcher {
	size := min(bits.Len(uint(len(x)/every))+1, maxBits)
	m := &matcher{x: x, y: y, bits: size, heads: make([]int32, 1<<size), links: make([]int32, len(x)/every+1)}
	for _, r := range ranges {
		for at := (r[0] + every - 1) / every * every; at+seed <= r[1]; at += every {
			h := m.hash(x[at:])
			m.links[at/every] = m.heads[h]
			m.heads[h] = int32(at/every) + 1
		}
	}
	return m
}

func (m *matcher) hash(b []byte) uint32 {
	le := binary.LittleEndian
	h := le.Uint64(b)*0x9e3779b97f4a7c15 ^ le.Uint64(b[8:])*0xc2b2ae3d27d4eb4f
	return uint32(h * 0x9e3779b97f4a7c15 >> (64 - m.bits))
}

// same counts the bytes that are the same from two places on.
func same(x, y []byte) int {
	n, most := 0, min(len(x), len(y))
	for ; n+8 <= most; n += 8 {
		if d := binary.LittleEndian.Uint64(x[n:]) ^ binary.LittleEndian.Uint64(y[n:]); d != 0 {
			return n + bits.TrailingZeros64(d)/8
		}
	}
	for n < most && x[n] == y[n] {
		n++
	}
	return n
}

// longest finds the place of the source that goes on longest like y[at:end]. shift is where the last copy goes on.
func (m *matcher) longest(at, end, shift int) (from, length int) {
	if from = at + shift; from >= 0 && from < len(m.x) {
		if length = same(m.x[from:], m.y[at:end]); length >= surely {
			return from, length
		}
	}
	if at+seed > end {
		return from, length
	}
	next := m.heads[m.hash(m.y[at:])]
	for range most {
		if next == 0 {
			break
		}
		candidate := int(next-1) * every
		if n := same(m.x[candidate:], m.y[at:end]); n > length {
			from, length = candidate, n
		}
		next = m.links[next-1]
	}
	return from, length
}

// score counts how many bytes of y would be the same with a shift.
func (m *matcher) agree(at, shift int) int {
	if i := at + shift; i >= 0 && i < len(m.x) && m.x[i] == m.y[at] {
		return 1
	}
	return 0
}

// run is the copy that is under way.
type run struct{ at, from int }

// match makes y[begin:end] out of copies and fresh bytes.
func (m *matcher) match(begin, end int) []wire.Op {
	var ops []wire.Op
	last := run{begin, begin}
	for scan, length, from := begin, 0, 0; scan < end; {
		score := 0
		scan += length
		shift := last.from - last.at
		counted := scan
		for ; scan < end; scan++ {
			from, length = m.longest(scan, end, shift)
			for ; counted < scan+length; counted++ {
				score += m.agree(counted, shift)
			}
			if length > 0 && length == score || length > score+worth {
				break
			}
			score -= m.agree(scan, shift)
		}
		if scan < end && length == score {
			continue
		}
		forward := m.forward(last, scan)
		backward := 0
		if scan < end {
			backward = m.backward(run{scan, from}, last.at)
		}
		forward, backward = m.meet(last, run{scan, from}, forward, backward)
		fresh := scan - backward - last.at - forward
		ops = append(ops, wire.Op{Copy: uint32(forward), From: uint32(last.from), Fresh: uint32(fresh)})
		last = run{scan - backward, from - backward}
	}
	return ops
}

// forward is how far the last copy goes best.
func (m *matcher) forward(last run, end int) int {
	best, length, sum := 0, 0, 0
	for i := 0; last.at+i < end && last.from+i < len(m.x); {
		if m.x[last.from+i] == m.y[last.at+i] {
			sum++
		}
		i++
		if sum*2-i > best*2-length {
			best, length = sum, i
		}
	}
	return length
}

// backward is how far before its place a new copy begins best.
func (m *matcher) backward(next run, begin int) int {
	best, length, sum := 0, 0, 0
	for i := 1; next.at-i >= begin && next.from-i >= 0; i++ {
		if m.x[next.from-i] == m.y[next.at-i] {
			sum++
		}
		if sum*2-i > best*2-length {
			best, length = sum, i
		}
	}
	return length
}

// meet divides the bytes that two copies would both take.
func (m *matcher) meet(last, next run, forward, backward int) (f, b int) {
	overlap := last.at + forward - (next.at - backward)
	if overlap <= 0 {
		return forward, backward
	}
	sum, best, cut := 0, 0, 0
	for i := range overlap {
		a, b := last.at+forward-overlap+i, next.at-backward+i
		if m.y[a] == m.x[last.from+forward-overlap+i] {
			sum++
		}
		if m.y[b] == m.x[next.from-backward+i] {
			sum--
		}
		if sum > best {
			best, cut = sum, i+1
		}
	}
	return forward + cut - overlap, backward - cut
}
