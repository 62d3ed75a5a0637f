package diff

import (
	"bytes"
	"cmp"
	"debug/elf"
	"slices"

	"github.com/ocellus/ocellus/codec/squashfs"
	"github.com/ocellus/ocellus/ota/delta/wire"
)

// maxSpans bounds the table of spans.
const maxSpans = 1000

// extent is a piece of a file in an expanded image.
type extent struct{ from, at, size int }

// programs finds the programs for ARM in an expanded image: in the files of its file system, and in what is not
// compressed at all, or a stream, where a file lies in one piece. place says where a part begins in it.
func programs(l *layout, image []byte, place func(part) int) []wire.Span {
	var all []wire.Span
	number := uint32(0)
	add := func(spans []wire.Span) {
		if len(spans) == 0 || len(all)+len(spans) > maxSpans {
			return
		}
		for _, s := range spans {
			s.Program = number
			all = append(all, s)
		}
		number++
	}
	for _, f := range l.files {
		content, extents := l.file(f, image, place)
		add(lay(spansOf(content), extents))
	}
	for _, p := range l.parts {
		if p.kind == wire.Stream || len(l.files) == 0 && p.kind == wire.Raw {
			at := place(p)
			if at < 0 {
				continue
			}
			b := image[at:][:len(p.content())]
			for i := magic(b, 0); i >= 0; i = magic(b, i+1) {
				add(lay(spansOf(b[i:]), []extent{{0, at + i, len(b) - i}}))
			}
		}
	}
	return all
}

// magic finds the next ELF header.
func magic(b []byte, from int) int {
	i := bytes.Index(b[from:], []byte(elf.ELFMAG))
	if i < 0 {
		return -1
	}
	return from + i
}

// file puts a file together, if it may be a program.
func (l *layout) file(f squashfs.File, image []byte, place func(part) int) (content []byte, extents []extent) {
	put := func(offset int64, from, size int) {
		i, found := slices.BinarySearchFunc(l.parts, l.base+int(offset), func(p part, at int) int {
			return cmp.Compare(p.at, at)
		})
		if !found || place(l.parts[i]) < 0 {
			return // not compressed: not a part of its own
		}
		p := l.parts[i]
		size = min(size, len(p.content())-from)
		at := place(p) + from
		extents = append(extents, extent{len(content), at, size})
		content = append(content, image[at:at+size]...)
	}
	for i, b := range f.Blocks {
		put(b.Offset, 0, l.blockSize)
		if i == 0 && !bytes.HasPrefix(content, []byte(elf.ELFMAG)) {
			return nil, nil
		}
	}
	if tail := int(f.Size) - len(content); f.Fragment >= 0 && tail > 0 {
		put(f.Fragment, f.From, tail)
	}
	return content, extents
}

// lay puts the spans of a file where the file is.
func lay(spans []wire.Span, extents []extent) []wire.Span {
	var all []wire.Span
	for _, s := range spans {
		for _, e := range extents {
			begin, end := max(int(s.At), e.from), min(int(s.At+s.Size), e.from+e.size)
			if begin >= end {
				continue
			}
			skip := uint32(begin) - s.At
			part := wire.Span{At: uint32(e.at + begin - e.from), Size: uint32(end - begin), Memory: uint32(end - begin),
				Address: s.Address + skip, Code: s.Code}
			if end == int(s.At+s.Size) {
				part.Memory = s.Memory - skip
			}
			last := len(all) - 1
			if last >= 0 && all[last].Code == part.Code && all[last].Memory == all[last].Size &&
				all[last].At+all[last].Size == part.At && all[last].Address+all[last].Size == part.Address {
				all[last].Size, all[last].Memory = all[last].Size+part.Size, all[last].Memory+part.Memory
				continue
			}
			all = append(all, part)
		}
	}
	return all
}

// spansOf reads where the bytes of a program run, if it is one of ARM's.
func spansOf(file []byte) (spans []wire.Span) {
	const typeAt, typeExecutable, typeShared = 16, 2, 3
	if len(file) < 64 || file[typeAt] != typeExecutable && file[typeAt] != typeShared {
		return nil
	}
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		f, err = elf.NewFile(bytes.NewReader(withoutSections(file)))
	}
	if err != nil {
		return nil
	}
	code := wire.ARM
	switch f.Machine {
	case elf.EM_ARM:
	case elf.EM_AARCH64:
		code = wire.ARM64
	default:
		return nil
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Vaddr+p.Memsz >= 1<<32 || p.Memsz > wire.MaxImage || p.Filesz > p.Memsz ||
			p.Off > wire.MaxImage || p.Filesz == 0 {
			continue
		}
		s := wire.Span{At: uint32(p.Off), Size: uint32(p.Filesz), Memory: uint32(p.Memsz), Address: uint32(p.Vaddr)}
		if p.Flags&elf.PF_X != 0 {
			spans = append(spans, instructions(s, f, code)...)
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

// withoutSections takes the table of sections out of an ELF header, for a file whose end lies elsewhere.
func withoutSections(file []byte) []byte {
	const classAt, class32 = 4, 1
	file = bytes.Clone(file[:min(len(file), 4096)]) // headers lie in front
	offset, size, counts := 40, 8, 60               // e_shoff, e_shnum and e_shstrndx of ELF-64
	if file[classAt] == class32 {
		offset, size, counts = 32, 4, 48
	}
	clear(file[offset : offset+size])
	clear(file[counts : counts+4])
	return file
}

// instructions divides a segment by what its sections hold. Without sections all of it is code.
func instructions(s wire.Span, f *elf.File, code wire.Code) []wire.Span {
	begin, end := uint32(1<<32-1), uint32(0)
	for _, section := range f.Sections {
		if section.Flags&elf.SHF_EXECINSTR != 0 && section.Offset >= uint64(s.At) &&
			section.Offset+section.FileSize <= uint64(s.At)+uint64(s.Size) {
			begin, end = min(begin, uint32(section.Offset)), max(end, uint32(section.Offset+section.FileSize))
		}
	}
	if begin >= end {
		s.Code = code
		return []wire.Span{s}
	}
	begin, end = begin-s.At&3, (end+3-s.At)&^3+s.At
	end = min(end, s.At+s.Size)
	var all []wire.Span
	for _, part := range []wire.Span{{At: s.At, Size: begin - s.At}, {At: begin, Size: end - begin, Code: code},
		{At: end, Size: s.At + s.Size - end, Memory: s.Memory - s.Size}} {
		part.Address = s.Address + part.At - s.At
		part.Memory += part.Size
		if part.Memory > 0 {
			all = append(all, part)
		}
	}
	return all
}

// keepPrograms has the blocks of a program expanded all, or none: addresses in those that changed point at those that
// did not.
func (m *maker) keepPrograms() {
	number := map[int]int{}
	for i, p := range m.pieces {
		number[p.at] = i
	}
	for _, f := range m.to.files {
		var mine []int
		changed, program := false, false
		for k, b := range f.Blocks {
			i, ok := number[m.to.base+int(b.Offset)]
			if !ok || m.pieces[i].kind != wire.Block {
				continue
			}
			program = program || k == 0 && bytes.HasPrefix(m.pieces[i].expanded, []byte(elf.ELFMAG))
			changed = changed || m.pieces[i].same < 0
			mine = append(mine, i)
		}
		for _, i := range mine {
			if program && changed {
				m.pieces[i].same = -1
			}
		}
	}
}
