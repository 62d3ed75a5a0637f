package diff

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ocellus/ocellus/ota/delta/wire"
)

// expandSource puts the source's compressed parts behind it. Streams that the target has, too, are left out.
func (m *maker) expandSource() {
	for _, p := range m.from.parts {
		kept := slices.ContainsFunc(m.pieces, func(q piece) bool { return q.same == p.at })
		if p.kind != wire.Block && (p.kind != wire.Stream || kept) {
			continue
		}
		m.h.Parts = append(m.h.Parts, wire.Part{Kind: p.kind, Offset: uint32(p.at), Stored: uint32(len(p.stored)),
			Expanded: uint32(len(p.expanded))})
		m.x = append(m.x, p.expanded...)
		if p.kind == wire.Block {
			m.h.BlockSize = max(m.h.BlockSize, uint32(m.from.blockSize))
		}
	}
}

// makeOps finds the copies.
func (m *maker) makeOps() {
	m.h.From = programs(m.from, m.x, func(p part) int { return m.expandedAt(p) })
	m.h.To = programs(m.to, m.y, func(p part) int { return m.pieceAt(p) })
	x, y := m.blanked(false)
	blocks := newMatcher(x, y, m.indexed(false))
	streams := newMatcher(x, y, m.indexed(true))
	for i := 0; i < len(m.pieces); {
		p := m.pieces[i]
		if p.same >= 0 {
			m.h.Ops = append(m.h.Ops, wire.Op{Copy: uint32(len(p.stored)), From: uint32(p.same)})
			i++
			continue
		}
		end := p.y
		for ; i < len(m.pieces) && m.pieces[i].same < 0 && (m.pieces[i].kind == wire.Stream) == (p.kind == wire.Stream); i++ {
			end = m.pieces[i].y + len(m.pieces[i].content())
		}
		finder := blocks
		if p.kind == wire.Stream {
			finder = streams
		}
		m.h.Ops = append(m.h.Ops, finder.match(p.y, end)...)
	}
	m.stretch()
	m.goForward()
	m.join()
	m.pair()
}

func (m *maker) blanked(data bool) (x, y []byte) {
	x, y = bytes.Clone(m.x), bytes.Clone(m.y)
	wire.NewAddresses(m.h.From, nil, nil).Blank(x, 0, data)
	wire.NewAddresses(m.h.To, nil, nil).Blank(y, 0, data)
	return x, y
}

// stretch has copies go on over tables of addresses, no two of which are the same.
func (m *maker) stretch() {
	x, y := m.blanked(true)
	finder := &matcher{x: x, y: y}
	at := 0
	for i := range m.h.Ops {
		o := &m.h.Ops[i]
		at += int(o.Copy)
		n := finder.forward(run{at, int(o.From + o.Copy)}, at+int(o.Fresh))
		at += int(o.Fresh)
		if o.Copy > 0 && n >= seed {
			o.Copy, o.Fresh = o.Copy+uint32(n), o.Fresh-uint32(n)
		}
	}
}

// expandedAt is where a part of the source lies expanded, -1: nowhere.
func (m *maker) expandedAt(p part) int {
	if p.kind == wire.Raw {
		return p.at
	}
	at := int(m.h.Source.Size)
	for _, q := range m.h.Parts {
		if int(q.Offset) == p.at {
			return at
		}
		at += int(q.Expanded)
	}
	return -1
}

// pieceAt is where a part of the target lies expanded, -1: it is copied as it is stored.
func (m *maker) pieceAt(p part) int {
	i, found := slices.BinarySearchFunc(m.pieces, p.at, func(q piece, at int) int { return cmp.Compare(q.at, at) })
	if !found || m.pieces[i].same >= 0 && p.kind != wire.Raw {
		return -1
	}
	return m.pieces[i].y
}

// indexed are the ranges of the expanded source in which copies are looked for. Streams are looked for in streams alone,
// since a camera goes through them once.
func (m *maker) indexed(streams bool) [][2]int {
	var all [][2]int
	for _, p := range m.from.parts {
		if p.kind == wire.Raw && !streams {
			all = append(all, [2]int{p.at, p.at + len(p.stored)})
		}
	}
	at := int(m.h.Source.Size)
	for _, p := range m.h.Parts {
		if (p.Kind == wire.Stream) == streams {
			all = append(all, [2]int{at, at + int(p.Expanded)})
		}
		at += int(p.Expanded)
	}
	return all
}

// large is how long a copy in a stream is that small ones give way to.
const large = 4 << 10

// goForward takes out copies that go back too far in a stream: a camera expands it once, from its beginning on. A small
// copy from so far ahead that a large one after it would be too far back is taken out first.
func (m *maker) goForward() {
	begin := m.h.Source.Size
	for _, p := range m.h.Parts {
		if p.Kind == wire.Stream {
			m.straighten(begin, begin+p.Expanded)
		}
		begin += p.Expanded
	}
}

func (m *maker) straighten(begin, end uint32) {
	inside := func(o wire.Op) bool { return o.Copy > 0 && o.From+o.Copy > begin && o.From < end }
	later := make([]uint32, len(m.h.Ops)+1) // by op: the least place of a large copy behind it
	later[len(m.h.Ops)] = end
	for i := len(m.h.Ops) - 1; i >= 0; i-- {
		later[i] = later[i+1]
		if o := m.h.Ops[i]; inside(o) && o.Copy >= large {
			later[i] = min(later[i], o.From)
		}
	}
	reached := begin
	for i, o := range m.h.Ops {
		switch {
		case !inside(o):
		case o.From+wire.StreamWindow < reached, o.Copy < large && o.From+o.Copy > later[i+1]+wire.StreamWindow:
			m.h.Ops[i] = wire.Op{Fresh: o.Copy + o.Fresh}
		default:
			reached = max(reached, o.From+o.Copy)
		}
	}
}

// join notes which copies are changed, and makes one of two that go on from one another.
func (m *maker) join() {
	var all []wire.Op
	y := uint32(0)
	for _, o := range m.h.Ops {
		if o.Copy == 0 {
			o.From = 0
		}
		o.Changed = !bytes.Equal(m.x[o.From:o.From+o.Copy], m.y[y:y+o.Copy])
		y += o.Copy + o.Fresh
		m.report.Fresh += int(o.Fresh)
		if len(all) > 0 {
			last := &all[len(all)-1]
			if last.Fresh == 0 && (o.Copy == 0 || last.From+last.Copy == o.From && last.Changed == o.Changed) {
				last.Copy, last.Fresh = last.Copy+o.Copy, o.Fresh
				continue
			}
		}
		if o.Copy+o.Fresh > 0 {
			all = append(all, o)
		}
	}
	m.h.Ops, m.report.Ops = all, len(all)
}

// pair gives each program of the target the number of the one of the source that most of it was copied from.
func (m *maker) pair() {
	var paired []wire.Span
	for _, group := range perProgram(m.h.To) {
		votes := map[uint32]uint32{}
		m.eachCopy(group, func(x, n uint32) {
			for _, s := range m.h.From {
				if x >= s.At && x-s.At < s.Size {
					votes[s.Program] += n
				}
			}
		})
		best, most := uint32(0), uint32(0)
		for program, n := range votes {
			if n > most || n == most && program < best {
				best, most = program, n
			}
		}
		for _, s := range group {
			if s.Program = best; most > 0 {
				paired = append(paired, s)
			}
		}
	}
	m.h.To = paired
	if len(paired) == 0 {
		m.h.From = nil
	}
}

func perProgram(all []wire.Span) [][]wire.Span {
	var groups [][]wire.Span
	for i, s := range all {
		if i == 0 || all[i-1].Program != s.Program {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], s)
	}
	return groups
}

// eachCopy calls for what was copied into some spans.
func (m *maker) eachCopy(spans []wire.Span, call func(x, n uint32)) {
	y := uint32(0)
	for _, o := range m.h.Ops {
		for _, s := range spans {
			begin, end := max(y, s.At), min(y+o.Copy, s.At+s.Size)
			if begin < end {
				call(o.From+begin-y, end-begin)
			}
		}
		y += o.Copy + o.Fresh
	}
}
