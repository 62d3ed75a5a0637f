package wire

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sort"
)

// Code says what instructions a span holds.
type Code byte

// The codes.
const (
	Data  Code = iota // none: addresses stand in words
	ARM               // A32: branches hold distances, words between functions addresses
	ARM64             // A64: branches, and pages with offsets in pairs of instructions
	codes
)

// Span says that bytes of an expanded image are part of a program, and at what address they run.
type Span struct {
	Program uint32 // counted from 0; an address means something within one program
	At      uint32 // in the expanded image
	Size    uint32
	Memory  uint32 // at least Size: what lies behind the bytes is zero when the program starts
	Address uint32
	Code    Code
}

// Addresses tell where things of the source went in the target, so that a word which holds an address can be expected
// to have moved with what it points at.
type Addresses struct {
	source, target []Span
	programs       []program
	moves          []move // by from
}

// program is what is known of a program's spans.
type program struct {
	low, high uint32 // its addresses, the end excluded
	byAddress []int  // the spans of the source, by address
}

// move is a copy of the list of copies, or a part of one.
type move struct{ from, to, size uint32 }

// NewAddresses looks up in spans by the copies that make the target.
func NewAddresses(source, target []Span, ops []Op) *Addresses {
	a := &Addresses{source: slices.Clone(source), target: slices.Clone(target)}
	byPlace := func(s, t Span) int { return cmp.Compare(s.At, t.At) }
	slices.SortStableFunc(a.source, byPlace)
	slices.SortStableFunc(a.target, byPlace)
	for i, s := range a.source {
		for int(s.Program) >= len(a.programs) {
			a.programs = append(a.programs, program{low: math.MaxUint32})
		}
		p := &a.programs[s.Program]
		p.low, p.high = min(p.low, s.Address), max(p.high, s.Address+s.Memory)
		p.byAddress = append(p.byAddress, i)
	}
	for _, p := range a.programs {
		slices.SortStableFunc(p.byAddress, func(i, j int) int {
			return cmp.Compare(a.source[i].Address, a.source[j].Address)
		})
	}
	if len(source) == 0 {
		return a
	}
	y := uint32(0)
	for _, o := range ops {
		if o.Copy > 0 {
			a.moves = append(a.moves, move{o.From, y, o.Copy})
		}
		y += o.Copy + o.Fresh
	}
	a.flatten()
	return a
}

// flatten leaves one move for each place of the source: the one that began first, which is mostly the largest.
func (a *Addresses) flatten() {
	slices.SortStableFunc(a.moves, func(m, n move) int { return cmp.Compare(m.from, n.from) })
	end := uint32(0)
	kept := a.moves[:0]
	for _, m := range a.moves {
		if m.from+m.size <= end {
			continue
		}
		if m.from < end {
			m.to, m.size, m.from = m.to+end-m.from, m.size-(end-m.from), end
		}
		end = m.from + m.size
		kept = append(kept, m)
	}
	a.moves = kept
}

// place is where a part of a region lies.
type place struct {
	from, to uint32 // addresses; the place in the image where there is no span
	left     uint32 // bytes until something else begins
	span     *Span  // nil: in no program
}

// at finds the span at a place.
func (a *Addresses) at(x, y uint32) place {
	i := sort.Search(len(a.source), func(i int) bool { return a.source[i].At > x }) - 1
	if i >= 0 && x-a.source[i].At < a.source[i].Size {
		s := &a.source[i]
		p := place{from: x - s.At + s.Address, left: s.Size - (x - s.At), span: s}
		p.to = a.address(y, s.Program, p.from)
		return p
	}
	if i+1 < len(a.source) {
		return place{from: x, to: y, left: a.source[i+1].At - x}
	}
	return place{from: x, to: y, left: math.MaxUint32}
}

// address is that of a place in the target, or otherwise.
func (a *Addresses) address(y, program, otherwise uint32) uint32 {
	i := sort.Search(len(a.target), func(i int) bool { return a.target[i].At > y }) - 1
	if i < 0 || y-a.target[i].At >= max(a.target[i].Memory, a.target[i].Size) || a.target[i].Program != program {
		return otherwise
	}
	return y - a.target[i].At + a.target[i].Address
}

// moved tells where an address of the source's program is in the target's.
func (a *Addresses) moved(address, program uint32) uint32 {
	p := a.programs[program]
	i := sort.Search(len(p.byAddress), func(i int) bool { return a.source[p.byAddress[i]].Address > address }) - 1
	if i < 0 {
		return address
	}
	s := a.source[p.byAddress[i]]
	inside := address - s.Address
	if s.Size > 0 {
		inside = min(inside, s.Size-1) // what lies behind the bytes moves with the last of them
	}
	x := s.At + inside
	i = sort.Search(len(a.moves), func(i int) bool { return a.moves[i].from > x }) - 1
	if i < 0 || a.moves[i].from+a.moves[i].size <= s.At {
		return address
	}
	return a.address(x-a.moves[i].from+a.moves[i].to, program, s.Address+inside) + address - s.Address - inside
}

// kind is what a word of the source looks like.
type kind int

const (
	loose   kind = iota // in no program
	other               // nothing that is known
	code                // an instruction that holds no address
	branch              // an instruction that holds a distance
	paged               // one of a pair that holds a page and an offset
	literal             // an address between functions
	word                // an address, or what looks like one
	kinds
)

// guess is what a word is expected to become: how much more than it was.
type guess struct {
	difference uint32
	kind       kind
	moved      uint32 // of a word: what difference an address would have
}

// expect says what is expected of the word of b at i; p is where b begins.
func (a *Addresses) expect(b []byte, i int, p place) guess {
	if p.span == nil {
		return guess{kind: loose}
	}
	w := binary.LittleEndian.Uint32(b[i:])
	from, to := p.from+uint32(i), p.to+uint32(i)
	switch p.span.Code {
	case ARM:
		if w>>25&7 == 5 && w>>28 != 15 { // B, BL (DDI 0406C A8.8.18, A8.8.25), relative to two instructions ahead
			target := from + 8 + uint32(int32(w<<8)>>6)
			distance := a.moved(target, p.span.Program) - to - 8
			return guess{w&^0xffffff | distance>>2&0xffffff - w, branch, 0}
		}
	case ARM64:
		if w>>26&0x1f == 5 { // B, BL (DDI 0487 C6.2)
			target := from + uint32(int32(w<<6)>>4)
			distance := a.moved(target, p.span.Program) - to
			return guess{w&^0x3ffffff | distance>>2&0x3ffffff - w, branch, 0}
		}
		if g, ok := a.pair(b, i, from, to, p.span.Program); ok {
			return g
		}
		return guess{kind: code}
	}
	if q := a.programs[p.span.Program]; w >= q.low && w < q.high {
		d := a.moved(w, p.span.Program) - w
		k := word
		if p.span.Code == ARM {
			k = literal
		}
		return guess{d, k, d}
	}
	if p.span.Code == ARM {
		return guess{kind: code}
	}
	return guess{kind: other}
}

// pair knows ADRP and what adds the offset in the page: ADD, a load or a store behind it, by the same register.
func (a *Addresses) pair(b []byte, i int, from, to, program uint32) (guess, bool) {
	le := binary.LittleEndian
	w := le.Uint32(b[i:])
	if isADRP(w) && i+8 <= len(b) {
		second := le.Uint32(b[i+4:])
		if shift, ok := offsetOf(second, w&31); ok {
			target := from&^0xfff + page(w) + second>>10&0xfff<<shift
			moved := a.moved(target, program)>>12 - to>>12
			return guess{w&0x9f00001f | moved&3<<29 | moved>>2&0x7ffff<<5 - w, paged, 0}, true
		}
	}
	if i < 4 {
		return guess{}, false
	}
	first := le.Uint32(b[i-4:])
	if !isADRP(first) {
		return guess{}, false
	}
	shift, ok := offsetOf(w, first&31)
	if !ok {
		return guess{}, false
	}
	target := (from-4)&^0xfff + page(first) + w>>10&0xfff<<shift
	moved := a.moved(target, program) & 0xfff >> shift
	return guess{w&^(0xfff<<10) | moved<<10 - w, paged, 0}, true
}

func isADRP(w uint32) bool { return w&0x9f000000 == 0x90000000 }

// page is the distance in an ADRP.
func page(w uint32) uint32 { return uint32(int32(w<<8)>>13)<<2&^3<<12 + w>>29&3<<12 }

// offsetOf reports by how much the offset in an instruction is shifted, if it is one that adds an offset to a register.
func offsetOf(w, register uint32) (shift uint32, ok bool) {
	if w>>5&31 != register {
		return 0, false
	}
	switch {
	case w>>22 == 0x244: // ADD, 64 bits, not shifted
		return 0, true
	case w&0x3f000000 == 0x39000000: // LDR, STR and their like with an unsigned offset
		return w >> 30, true
	case w&0x3f000000 == 0x3d000000: // the same of vector registers; opc says whether they have 128 bits
		return w>>30 + w>>23&1<<2, true
	}
	return 0, false
}

// Blank takes out of the words of b whatever moves with what it points at, so that code which only moved looks the
// same. b lies at a place of the source. data blanks what looks like an address between data, too.
func (a *Addresses) Blank(b []byte, at uint32, data bool) {
	for len(b) > 0 {
		p := a.at(at, at)
		n := min(uint32(len(b)), p.left)
		if p.span != nil && (data || p.span.Code != Data) {
			a.blank(b[:n], p)
		}
		b, at = b[n:], at+n
	}
}

func (a *Addresses) blank(b []byte, p place) {
	le := binary.LittleEndian
	head := min(int(-p.from&3), len(b))
	b, p.from, p.to = b[head:], p.from+uint32(head), p.to+uint32(head)
	b = b[:len(b)&^3]
	for i := len(b) - 4; i >= 0; i -= 4 { // backwards: the second of a pair is known by the first
		w := le.Uint32(b[i:])
		switch a.expect(b, i, p).kind {
		case branch:
			w &= 0xff << 24
			if p.span.Code == ARM64 {
				w &= 0xfc << 24
			}
		case paged:
			if isADRP(w) {
				w &= 0x9f00001f
			} else {
				w &^= 0xfff << 10
			}
		case literal, word:
			w = 0xaddaadda
		}
		le.PutUint32(b[i:], w)
	}
}
