package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// noise is bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// types is a description of types as pahole writes it, with so many bytes of types and of strings.
func types(t *testing.T, kinds, strings int) []byte {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, btfHeader{Magic: btfMagic, Version: 1, HeaderLen: btfHeaderLen,
		TypeLen: uint32(kinds), StringsOff: uint32(kinds), StringsLen: uint32(strings)})
	if err != nil {
		t.Fatal(err)
	}
	return append(b, bytes.Repeat([]byte("type"), (kinds+strings)/4)...)
}

func TestLeanKernel(t *testing.T) {
	t.Parallel()
	code := noise(1000)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	full := types(t, 400, 200)
	empty := make([]byte, len(full))
	copy(empty, []byte{0x9f, 0xeb, 1, 0, btfHeaderLen})
	binary.LittleEndian.PutUint32(empty[20:], 600) // its strings are as long as all of it was, and empty
	tooLong := types(t, 400, 200)[:300]
	for _, c := range []struct {
		name         string
		kernel, want []byte
	}{
		{"none", code, code},
		{"empty", nil, nil},
		{"in the middle", join(code, full, code), join(code, empty, code)},
		{"at the end", join(code, full), join(code, empty)},
		{"cut short", join(code, tooLong), join(code, tooLong)},
		{"eight bytes of another thing first", join(code, full[:8], code, full), join(code, full[:8], code, empty)},
		{"eight bytes at the end", join(code, full[:8]), join(code, full[:8])},
	} {
		before := bytes.Clone(c.kernel)
		got, err := leanKernel(c.kernel)
		if err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %v, the kernel is not as it should be", c.name, err)
		}
		if !bytes.Equal(c.kernel, before) {
			t.Errorf("%s: the kernel that was given changed", c.name)
		}
	}
}

// object is an ELF file with these sections and nothing else.
func object(t *testing.T, sections map[string][]byte) []byte {
	t.Helper()
	const headerLen, sectionLen = 64, 64
	b := make([]byte, headerLen)
	table := make([]byte, sectionLen) // the first one is none
	names := []byte{0}
	section := func(name string, kind elf.SectionType, content []byte) {
		s := elf.Section64{Name: uint32(len(names)), Type: uint32(kind), Off: uint64(len(b)), Size: uint64(len(content))}
		names = append(names, name+"\x00"...)
		if kind == elf.SHT_STRTAB {
			content, s.Size = names, uint64(len(names))
		}
		b = append(b, content...)
		table, _ = binary.Append(table, binary.LittleEndian, s)
	}
	for _, name := range []string{".text", ".BTF", ".data"} {
		if content, ok := sections[name]; ok {
			section(name, elf.SHT_PROGBITS, content)
		}
	}
	section(".shstrtab", elf.SHT_STRTAB, nil)
	h := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_AARCH64), Version: 1, Shoff: uint64(len(b)),
		Ehsize: headerLen, Shentsize: sectionLen, Shnum: uint16(len(table) / sectionLen),
		Shstrndx: uint16(len(table)/sectionLen - 1)}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}))
	if _, err := binary.Encode(b, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	return append(b, table...)
}

// sign appends what scripts/sign-file of the kernel does.
func sign(module []byte, signature []byte) []byte {
	info := make([]byte, 8, 12)
	info = binary.BigEndian.AppendUint32(info, uint32(len(signature)))
	return bytes.Join([][]byte{module, signature, info, []byte("~Module signature appended~\n")}, nil)
}

func TestLeanModule(t *testing.T) {
	t.Parallel()
	code, data := noise(500), noise(300)
	with := object(t, map[string][]byte{".text": code, ".BTF": types(t, 400, 200), ".data": data})
	without := object(t, map[string][]byte{".text": code, ".data": data})
	for name, m := range map[string][]byte{"plain": with, "signed": sign(with, noise(77))} {
		got, err := leanModule(m)
		if err != nil || len(got) != len(with) {
			t.Fatalf("%s: %v, %d bytes, want %d", name, err, len(got), len(with))
		}
		f, err := elf.NewFile(bytes.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if f.Section(".BTF") != nil {
			t.Errorf("%s: the kernel still finds its types", name)
		}
		for section, want := range map[string][]byte{".text": code, ".data": data, "-BTF": make([]byte, 624)} {
			if s := f.Section(section); s == nil {
				t.Errorf("%s: no section %s", name, section)
			} else if b, err := s.Data(); err != nil || !bytes.Equal(b, want) {
				t.Errorf("%s: section %s: %v, %d bytes that are not those", name, section, err, len(b))
			}
		}
	}
	for name, m := range map[string][]byte{"no types": without, "signed, no types": sign(without, noise(77)),
		"text": []byte("text")} {
		if got, err := leanModule(m); err != nil || !bytes.Equal(got, m) {
			t.Errorf("%s: %v, or it changed", name, err)
		}
	}
	tooLong := sign(with, nil)
	binary.BigEndian.PutUint32(tooLong[len(with)+8:], 1<<20)
	for name, m := range map[string][]byte{
		"longer signature than module": tooLong,
		"no section table":             with[:len(with)-64],
	} {
		if _, err := leanModule(m); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestLeanDebian takes the kernel and the modules of Debian's that the cache has.
func TestLeanDebian(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Glob("../../.cache/board/kernel-*-arm64-*")
	if err != nil || len(dir) == 0 {
		t.Skip("the cache has no kernel for arm64: scripts/board-kernel arm64")
	}
	kernel, err := os.ReadFile(filepath.Join(dir[0], "Image"))
	if err != nil {
		t.Fatal(err)
	}
	lean, err := leanKernel(kernel)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for i := range kernel {
		if kernel[i] != lean[i] {
			changed++
		}
	}
	t.Logf("%d of %d bytes of the kernel are blank", changed, len(kernel))
	if changed < 1<<20 {
		t.Error("Debian's arm64 kernel has no types any more, or hides them")
	}
}
