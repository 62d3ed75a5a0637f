package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
)

// The description of its types (BTF, Documentation/bpf/btf.rst) is a sixth of Debian's arm64 kernel and of its modules.
// Tracers and BPF programs read it and nothing else; a camera runs neither, and flash is dear. What it takes is blanked
// here rather than cut out, so that every other byte stays where Debian's linker put it. A module's signature would not
// fit any more and goes too: dm-verity guards what is in a slot.

// btfHeader is struct btf_header, include/uapi/linux/btf.h.
type btfHeader struct {
	Magic                  uint16
	Version, Flags         uint8
	HeaderLen              uint32
	TypeOff, TypeLen       uint32
	StringsOff, StringsLen uint32
}

const (
	btfMagic     = 0xeb9f
	btfHeaderLen = 24
)

// leanKernel returns the kernel with an empty description of types, which is what it wants to find there. A kernel that
// has none, or packs itself, stays as it is.
func leanKernel(kernel []byte) ([]byte, error) {
	begin := []byte{btfMagic & 0xff, btfMagic >> 8, 1, 0, btfHeaderLen, 0, 0, 0}
	for at := 0; ; at++ {
		next := bytes.Index(kernel[at:], begin)
		if next < 0 {
			return kernel, nil
		}
		at += next
		var h btfHeader
		if _, err := binary.Decode(kernel[at:], binary.LittleEndian, &h); err != nil {
			return kernel, nil
		}
		size := int64(h.TypeLen) + int64(h.StringsLen)
		if h.TypeOff != 0 || h.StringsOff != h.TypeLen || size > int64(len(kernel)-at-btfHeaderLen) {
			continue // the eight bytes are something else
		}
		lean := bytes.Clone(kernel)
		h = btfHeader{Magic: btfMagic, Version: 1, HeaderLen: btfHeaderLen, StringsLen: uint32(size)}
		if _, err := binary.Encode(lean[at:], binary.LittleEndian, h); err != nil {
			return nil, err
		}
		clear(lean[at+btfHeaderLen : int64(at+btfHeaderLen)+size])
		return lean, nil
	}
}

// leanModule returns a module whose description of types is blank and has no name any more, so that the kernel does not
// look for it. One without stays as it is.
func leanModule(module []byte) ([]byte, error) {
	if !bytes.HasPrefix(module, []byte(elf.ELFMAG)) {
		return module, nil
	}
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	types, names := f.Section(".BTF"), f.Section(".shstrtab")
	if types == nil {
		return module, nil
	}
	end := uint64(len(module))
	if names == nil || names.Offset+names.Size > end || types.Offset+types.Size > end {
		return nil, errors.New("the module is cut short")
	}
	name := bytes.Index(module[names.Offset:names.Offset+names.Size], []byte("\x00.BTF\x00"))
	if name < 0 {
		return nil, errors.New("the name .BTF is a part of another section's")
	}
	lean := bytes.Clone(module)
	clear(lean[types.Offset : types.Offset+types.Size])
	lean[names.Offset+uint64(name)+1] = '-'
	return unsigned(lean)
}

// unsigned cuts off a module's signature: struct module_signature and what is before it, include/linux/module_signature.h.
func unsigned(module []byte) ([]byte, error) {
	const infoLen = 12
	rest, signed := bytes.CutSuffix(module, []byte("~Module signature appended~\n"))
	if !signed {
		return module, nil
	}
	info := len(rest) - infoLen
	if info < 0 {
		return nil, errors.New("the module's signature is cut short")
	}
	keep := int64(info) - int64(binary.BigEndian.Uint32(rest[info+8:])) - int64(rest[info+3]) - int64(rest[info+4])
	if keep < 0 {
		return nil, errors.New("the module's signature is longer than the module")
	}
	return rest[:keep], nil
}
