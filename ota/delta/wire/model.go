package wire

import (
	"encoding/binary"
	"math/bits"
)

// Model codes what a region of the target is more than the region of the source that it was made of: word by word, as
// differences from what Addresses expect. Most words are as expected, so whole groups are told by one bit. One model
// serves one frame: both sides begin it anew, so that a frame can be read without those before it.
type Model struct {
	addresses *Addresses
	guesses   [groupWords]guess

	groups [4][kinds]Prob // all of a group as expected, by how the two groups before went
	hits   [kinds][8][sizes]Prob
	zeros  [kinds][4]Prob
	known  [kinds][4]Prob
	index  [kinds][recents]Prob
	widths [kinds][8]Prob
	bytes  [kinds][4][256]Prob
	single [256]Prob // bytes beside whole words

	recent  [recents]uint32     // differences, the last one first
	history [kinds]uint32       // bit by bit whether words came as expected
	before  uint32              // whether groups did
	learned [learnedSize]uint32 // by number: the difference of the last one near it * 2 + 1; 0: none
	tables  int                 // by how much more numbers were places in tables, lately, than addresses
}

const (
	groupWords   = 32
	recents      = 16
	sizes        = 9
	learnedSize  = 1 << 14
	learnedShift = 13   // numbers that differ by less are near
	lookBack     = 4    // steps to the next smaller number that was learned
	leastLearned = 1024 // smaller numbers are counts and kinds
	mostTables   = 8
)

// NewModel begins a frame.
func NewModel(a *Addresses) *Model {
	m := &Model{addresses: a}
	m.Reset()
	return m
}

// Reset begins another frame.
func (m *Model) Reset() {
	*m = Model{addresses: m.addresses}
	for k := range kinds {
		for i := range m.groups {
			m.groups[i][k] = fresh()
		}
		for i := range m.hits[k] {
			freshen(m.hits[k][i][:])
		}
		freshen(m.zeros[k][:])
		freshen(m.known[k][:])
		freshen(m.index[k][:])
		freshen(m.widths[k][:])
		for i := range m.bytes[k] {
			freshen(m.bytes[k][i][:])
		}
	}
	freshen(m.single[:])
}

func freshen(all []Prob) {
	for i := range all {
		all[i] = fresh()
	}
}

// Region codes the target's bytes at y, which were made of the source's at x: target holds as many bytes as source. An
// encoder reads target, a decoder fills it. Both sides have to hand in the same pieces.
func (m *Model) Region(c Coder, source, target []byte, x, y uint32) {
	for len(source) > 0 {
		place := m.addresses.at(x, y)
		n := min(uint32(len(source)), place.left)
		m.part(c, source[:n], target[:n], place)
		source, target = source[n:], target[n:]
		x, y = x+n, y+n
	}
}

// part codes bytes that lie in one span, or in none.
func (m *Model) part(c Coder, source, target []byte, p place) {
	head := min(int(-p.from&3), len(source))
	m.loose(c, source[:head], target[:head])
	p.from, p.to = p.from+uint32(head), p.to+uint32(head)
	source, target = source[head:], target[head:]
	whole := len(source) &^ 3
	for at := 0; at < whole; at += 4 * groupWords {
		end := min(at+4*groupWords, whole)
		m.group(c, source[:whole], target[:whole], at, end, p)
	}
	m.loose(c, source[whole:], target[whole:])
}

// loose codes bytes beside whole words.
func (m *Model) loose(c Coder, source, target []byte) {
	for i := range source {
		target[i] = source[i] + byte(tree(c, m.single[:], 8, uint32(target[i]-source[i])))
	}
}

// group codes the words of source from at to end.
func (m *Model) group(c Coder, source, target []byte, at, end int, p place) {
	le := binary.LittleEndian
	missed := uint32(0)
	guesses := m.guesses[:(end-at)/4]
	for i := range guesses {
		old := le.Uint32(source[at+4*i:])
		guesses[i] = m.addresses.expect(source, at+4*i, p)
		m.prefer(&guesses[i], old)
		missed |= truth(le.Uint32(target[at+4*i:])-old != guesses[i].difference)
	}
	missed = c.Bit(&m.groups[m.before&3][guesses[0].kind], missed)
	m.before = m.before<<1 | missed
	for i, g := range guesses {
		old := le.Uint32(source[at+4*i:])
		difference := g.difference
		if missed == 1 {
			m.prefer(&g, old) // the words before may have taught something
			difference = m.word(c, g, old, le.Uint32(target[at+4*i:])-old)
		}
		m.learn(g, old, difference)
		le.PutUint32(target[at+4*i:], old+difference)
	}
}

// prefer puts what was learned in place of what addresses say. Go's function tables (internal/abi, symtab) are full of
// numbers that look like addresses and are places in other tables, whose parts moved, too: near ones moved alike. Where
// such numbers come as the table says, addresses are not believed, and the other way round.
func (m *Model) prefer(g *guess, old uint32) {
	if g.kind == other || g.kind == word && m.tables > 0 {
		g.difference = m.near(old)
	}
}

// near is the difference of the last number that was near this one.
func (m *Model) near(old uint32) uint32 {
	if old < leastLearned {
		return 0
	}
	for back := range uint32(lookBack) {
		if l := m.learned[(old>>learnedShift-back)%learnedSize]; l != 0 {
			return uint32(int32(l) >> 1)
		}
	}
	return 0
}

// learn notes a difference.
func (m *Model) learn(g guess, old, d uint32) {
	if g.kind != other && g.kind != word || old < leastLearned {
		return
	}
	if n := m.near(old); g.kind == word && n != g.moved {
		switch d {
		case n:
			m.tables = min(m.tables+1, mostTables)
		case g.moved:
			m.tables = max(m.tables-1, -mostTables)
		}
	}
	m.learned[old>>learnedShift%learnedSize] = d<<1 | 1
}

// word codes one difference.
func (m *Model) word(c Coder, g guess, old, d uint32) uint32 {
	h := &m.history[g.kind]
	miss := c.Bit(&m.hits[g.kind][*h&7][(bits.Len32(old)+3)/4], truth(d != g.difference))
	*h = *h<<1 | miss
	if miss == 0 {
		return g.difference
	}
	if g.difference != 0 && c.Bit(&m.zeros[g.kind][*h>>1&3], truth(d != 0)) == 0 {
		return 0
	}
	slot := m.find(d)
	if c.Bit(&m.known[g.kind][*h>>1&3], truth(slot == recents)) == 0 {
		slot = int(tree(c, m.index[g.kind][:], 4, uint32(slot)))
		d = m.recent[slot]
	} else {
		d = m.fresh(c, g.kind, d)
		slot = recents - 1
	}
	copy(m.recent[1:slot+1], m.recent[:slot])
	m.recent[0] = d
	return d
}

func (m *Model) find(d uint32) int {
	for i, r := range m.recent {
		if r == d {
			return i
		}
	}
	return recents
}

// fresh codes a difference that did not come lately: how many bytes it has, as a signed number folded to an unsigned
// one, and then these.
func (m *Model) fresh(c Coder, k kind, d uint32) uint32 {
	folded := d<<1 ^ uint32(int32(d)>>31)
	width := tree(c, m.widths[k][:], 3, uint32(bits.Len32(folded)+7)/8)
	out := uint32(0)
	for i := int(min(width, 4)) - 1; i >= 0; i-- {
		out = out<<8 | tree(c, m.bytes[k][i][:], 8, folded>>(8*i)&0xff)
	}
	return out>>1 ^ -(out & 1)
}

// tree codes a number of so many bits, the highest first.
func tree(c Coder, probs []Prob, width int, n uint32) uint32 {
	at := uint32(1)
	for i := width - 1; i >= 0; i-- {
		at = at<<1 | c.Bit(&probs[at], n>>i&1)
	}
	return at - 1<<width
}

func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
